//! Sample sites on loopback: two onion markets, a second-hand site on the clear web, a bulk of
//! pages to measure with, a server that misbehaves in every way that is known to hurt, and a trap
//! that nobody may ever touch. All texts, sellers and keys are invented.
//!
//! Every server counts connections and remembers request heads byte for byte ([`Journal`]), so
//! that a test can state what was asked and what was not.

pub mod bulk;
pub mod catalogue;
mod exit;
mod font;
pub mod hostile;
mod journal;
mod market;
mod pictures;
mod reply;
mod second_hand;
mod serve;
mod tls;

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpListener;

pub use self::exit::{ELSEWHERE, Swap};
pub use self::journal::Journal;
pub use self::second_hand::DATA_PAGE;
pub use self::tls::TestCa;

/// Host name of the second-hand site.
pub const SECOND_HAND_HOST: &str = "brocante.test";
/// Host name of the trap.
pub const ELSEWHERE_HOST: &str = "elsewhere.test";

/// A running server.
#[derive(Debug, Clone)]
pub struct Site {
    /// Label.
    pub name: &'static str,
    /// Port on 127.0.0.1.
    pub port: u16,
    /// What it was asked.
    pub journal: Arc<Journal>,
}

/// All sample sites; they end when this is dropped.
#[derive(Debug)]
pub struct Sites {
    /// Onion market with tables, in English and Dutch; plain HTTP.
    pub market_a: Site,
    /// Onion market with cards, in French; plain HTTP.
    pub market_b: Site,
    /// Clear-web second-hand site [`SECOND_HAND_HOST`]; TLS by [`Sites::ca`].
    pub second_hand: Site,
    /// The same host with a certificate that expired in 2020, by the same authority.
    pub expired_tls: Site,
    /// 1,000 pages of 80 KB; plain HTTP.
    pub bulk: Site,
    /// Misbehaves by path: [`hostile::CASES`]; raw TCP.
    pub hostile: Site,
    /// Where every link, picture and redirect that leaves points to. Its journal must stay empty.
    pub elsewhere: Site,
    /// The authority that signed the second-hand site's certificate.
    pub ca: TestCa,
    shop: Arc<second_hand::Shop>,
    // Last: the servers run in it.
    runtime: tokio::runtime::Runtime,
}

impl Sites {
    /// Starts all servers on free loopback ports, in a runtime of their own.
    ///
    /// # Errors
    /// When the machine refuses a port or a thread, or a certificate cannot be made.
    pub fn start() -> std::io::Result<Self> {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).thread_name("sites").enable_all().build()?;
        let ca = TestCa::create().map_err(std::io::Error::other)?;
        let acceptor = ca.acceptor(SECOND_HAND_HOST, tls::Validity::Now).map_err(std::io::Error::other)?;
        let expired = ca.acceptor(SECOND_HAND_HOST, tls::Validity::Expired).map_err(std::io::Error::other)?;

        let (trap, elsewhere) = listen(&runtime, "elsewhere")?;
        let away = format!("http://{ELSEWHERE_HOST}:{}", elsewhere.port);
        serve::spawn(&runtime, trap, elsewhere.journal.clone(), None, |_| reply::text(200, "a trap"));

        let (listener, market_a) = listen(&runtime, "market-a")?;
        let market = market::Market::tables(&away);
        serve::spawn(&runtime, listener, market_a.journal.clone(), None, move |ask| market.answer(ask));

        let (listener, market_b) = listen(&runtime, "market-b")?;
        let market = market::Market::cards(&away);
        serve::spawn(&runtime, listener, market_b.journal.clone(), None, move |ask| market.answer(ask));

        let (listener, second_hand) = listen(&runtime, "second-hand")?;
        let shop = Arc::new(second_hand::Shop::new(&away));
        let (same, kept) = (shop.clone(), shop.clone());
        serve::spawn(&runtime, listener, second_hand.journal.clone(), Some(acceptor), move |ask| shop.answer(ask));

        let (listener, expired_tls) = listen(&runtime, "expired-tls")?;
        serve::spawn(&runtime, listener, expired_tls.journal.clone(), Some(expired), move |ask| same.answer(ask));

        let (listener, bulk) = listen(&runtime, "bulk")?;
        serve::spawn(&runtime, listener, bulk.journal.clone(), None, bulk::answer);

        let (listener, hostile) = listen(&runtime, "hostile")?;
        hostile::spawn(&runtime, listener, hostile.journal.clone(), away);

        Ok(Self { market_a, market_b, second_hand, expired_tls, bulk, hostile, elsewhere, ca, shop: kept, runtime })
    }

    fn runtime(&self) -> &tokio::runtime::Runtime {
        &self.runtime
    }

    fn shop(&self) -> Arc<second_hand::Shop> {
        self.shop.clone()
    }

    /// All sites.
    pub fn all(&self) -> [&Site; 7] {
        [
            &self.market_a,
            &self.market_b,
            &self.second_hand,
            &self.expired_tls,
            &self.bulk,
            &self.hostile,
            &self.elsewhere,
        ]
    }

    /// URL of a path of the second-hand site, as an exit reaches it.
    pub fn second_hand_url(&self, path: &str) -> String {
        format!("https://{SECOND_HAND_HOST}:{}{path}", self.second_hand.port)
    }
}

fn listen(runtime: &tokio::runtime::Runtime, name: &'static str) -> std::io::Result<(TcpListener, Site)> {
    let listener = runtime.block_on(TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))))?;
    let port = listener.local_addr()?.port();
    Ok((listener, Site { name, port, journal: Arc::new(Journal::default()) }))
}
