//! Acts of people: a statement of who does what, when and why, signed with the agent's SSH key, in
//! an entry that commits to both. Whoever reads the log can ask `ssh-keygen -Y verify` about it.

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use serde_json::json;
use vigie_config::authorize;
use vigie_config::mandate::Mandate;
use vigie_store::{Commitment, Draft, Entry, Kind, Private, Receipt, StateOp, Store};

use crate::agentkey::AgentKey;
use crate::error::{Failing, Problem};
use crate::rows::{ReadRow, SignedAct};
use crate::{mandates, outside};

/// Commitments of every act.
const STATEMENT: &str = "agent-statement";
/// See [`STATEMENT`].
const SIGNATURE: &str = "agent-signature";
/// Longest time from a statement to its entry: an agent may be asked to touch a token meanwhile.
const DELAY: SignedDuration = SignedDuration::from_hours(1);

/// Who acts, under which mandate.
pub struct Actor<'a> {
    mandate: &'a Mandate,
    code: String,
    key: &'a AgentKey,
}

impl<'a> Actor<'a> {
    /// The agent with this key, if the mandate names one. A mandate that has ended still says who may
    /// read what was captured under it.
    ///
    /// # Errors
    /// The mandate names no such agent, or the habilitation does not cover `now`; logged as a refusal.
    pub fn new(store: &Store, mandate: &'a Mandate, key: &'a AgentKey, now: Timestamp) -> Result<Self, Problem> {
        match authorize::agent(mandate, key.public(), now) {
            Ok(agent) => Ok(Self { mandate, code: agent.code().to_owned(), key }),
            Err(refusal) => Err(outside::refuse(store, outside::about_mandate(mandate.id()), refusal.into())),
        }
    }

    /// Signs that the agent does this, with lines of its own (`name value`).
    pub fn sign(
        &self,
        store: &Store,
        kind: Kind,
        now: Timestamp,
        purpose: &str,
        own: &[(&str, String)],
    ) -> Result<SignedAct, Problem> {
        let statement = statement(kind, now, store.origin(), self.mandate, &self.code, purpose, own);
        Ok(SignedAct { signature: self.key.sign(&statement)?, statement })
    }

    /// Logs a signed act.
    pub fn log(
        &self,
        store: &Store,
        act: &SignedAct,
        entry: ActEntry<'_, impl Serialize>,
        now: Timestamp,
    ) -> Result<Receipt, Problem> {
        Ok(store.append(self.draft(act, entry, now)?)?)
    }

    /// The entry of a signed act. `private` is what its private part says besides statement and
    /// signature.
    pub fn draft(
        &self,
        act: &SignedAct,
        entry: ActEntry<'_, impl Serialize>,
        now: Timestamp,
    ) -> Result<Draft, Problem> {
        let mut private = json!({"statement": act.statement, "signature": act.signature});
        if let (Some(all), serde_json::Value::Object(more)) = (private.as_object_mut(), entry.private) {
            all.extend(more);
        }
        Ok(Draft {
            kind: entry.kind,
            mandate: Some(self.mandate.digest().0),
            session: None,
            exhibit: None,
            commitments: commitments(act).into(),
            private: Some(Private {
                recipients: mandates::recipients(self.mandate, now)?,
                json: private.to_string().into_bytes(),
            }),
            row: serde_json::to_vec(entry.row).failing("preparing the entry")?,
            url_row: None,
            state: entry.state,
        })
    }
}

impl Actor<'_> {
    /// Logs that an exhibit is read, and in which form: before the first byte of it leaves, so that a
    /// copy without an entry cannot exist.
    pub fn read(
        &self,
        store: &Store,
        exhibit: u64,
        form: &str,
        purpose: &str,
        now: Timestamp,
    ) -> Result<Receipt, Problem> {
        let own = [("exhibit", exhibit.to_string()), ("form", form.to_owned())];
        let act = self.sign(store, Kind::Read, now, purpose, &own)?;
        let row = ReadRow { exhibit, purpose: purpose.to_owned(), form: form.to_owned(), act: act.clone() };
        let private = json!({"exhibit": exhibit});
        self.log(store, &act, ActEntry { kind: Kind::Read, row: &row, private, state: Vec::new() }, now)
    }
}

/// What an act's entry holds besides the act.
pub struct ActEntry<'a, R> {
    /// Kind of the entry.
    pub kind: Kind,
    /// Its row; it holds the act as `act`.
    pub row: &'a R,
    /// Its private part: an object.
    pub private: serde_json::Value,
    /// State changed together with it.
    pub state: Vec<StateOp>,
}

/// What an act commits to.
pub fn commitments(act: &SignedAct) -> [Commitment; 2] {
    [
        Commitment { name: SIGNATURE, value: act.signature.clone().into_bytes() },
        Commitment { name: STATEMENT, value: act.statement.clone().into_bytes() },
    ]
}

/// The lines that are signed. The first says the entry's kind; the next five are the same in all.
pub fn statement(
    kind: Kind,
    now: Timestamp,
    origin: &str,
    mandate: &Mandate,
    agent: &str,
    purpose: &str,
    own: &[(&str, String)],
) -> String {
    let mut lines = vec![
        format!("vigie {kind}"),
        format!("time {now}"),
        format!("origin {origin}"),
        format!("mandate {} {}", mandate.id(), sha256(&mandate.digest().0)),
        format!("case {}", mandate.case()),
        format!("agent {agent}"),
        format!("purpose {}", purpose.split_whitespace().collect::<Vec<_>>().join(" ")),
    ];
    lines.extend(own.iter().map(|(name, value)| format!("{name} {value}")));
    lines.push(String::new());
    lines.join("\n")
}

/// A digest as statements write it.
pub fn sha256(digest: &[u8; 32]) -> String {
    format!("sha256:{}", data_encoding::HEXLOWER.encode(digest))
}

/// The value of a line of a statement.
pub fn line<'s>(statement: &'s str, name: &str) -> Option<&'s str> {
    statement.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))
}

/// SHA-256 fingerprint of the key that made a signature.
pub fn fingerprint(signature: &str) -> Option<String> {
    let signature = signature.parse::<ssh_key::SshSig>().ok()?;
    Some(signature.public_key().fingerprint(ssh_key::HashAlg::Sha256).to_string())
}

/// What is wrong with an act whose signature holds: it may be of another kind, time, store or
/// mandate, or by somebody whom the mandate does not name.
pub fn faults(entry: &Entry, origin: &str, mandate: Option<&Mandate>, act: &SignedAct) -> Vec<String> {
    let line = |name: &str| line(&act.statement, name);
    let mut faults = Vec::new();
    let kind = format!("vigie {}", entry.kind);
    if act.statement.lines().next() != Some(&kind) {
        faults.push("the agent signed for an act of another kind".to_owned());
    }
    if line("origin") != Some(origin) {
        faults.push("the agent signed for another store".to_owned());
    }
    let time = line("time").and_then(|time| time.parse::<Timestamp>().ok());
    let timely = |time: Timestamp| time <= entry.stamp.wall && entry.stamp.wall.duration_since(time) <= DELAY;
    if !time.is_some_and(timely) {
        faults.push("the agent signed for another time".to_owned());
    }
    let Some(mandate) = mandate else {
        faults.push("no mandate in this store says who may do this".to_owned());
        return faults;
    };
    let named = format!("{} {}", mandate.id(), sha256(&mandate.digest().0));
    if entry.mandate != Some(mandate.digest().0) || line("mandate") != Some(&named) {
        faults.push("the agent signed for another mandate".to_owned());
    }
    let agent = mandate.agents().iter().find(|agent| Some(agent.code()) == line("agent"));
    let key = act.signature.parse::<ssh_key::SshSig>().map(|signature| signature.public_key().clone());
    match (agent, key) {
        (Some(named), Ok(key)) if *named.key().key_data() == key => {
            let at = time.unwrap_or(entry.stamp.wall);
            faults.extend(authorize::agent(mandate, named.key(), at).err().map(|refusal| refusal.to_string()));
        }
        _ => faults.push("it was signed by nobody whom the mandate names by that code".to_owned()),
    }
    faults
}
