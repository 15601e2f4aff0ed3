//! System calls by seccomp.

use std::collections::BTreeMap;

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    TargetArch, apply_filter_all_threads,
};
use vigie_wire::control::Protection;

use crate::calls::{self, When};
use crate::{ConfineError, Role};

/// Puts the role's filters on.
///
/// The first names what may be done and answers all else with "no such call" (ENOSYS), which C
/// libraries understand and work around. The second, for the processes that meet hostile bytes, ends
/// them on calls that only an intruder makes: that is an alarm and is told as one.
pub fn install(role: &Role) -> Result<(), ConfineError> {
    let allowed = rules(calls::allowed(role))?;
    let refuse = SeccompAction::Errno(libc::ENOSYS as u32);
    let mut programs = vec![program(allowed, refuse, SeccompAction::Allow)?];
    if !matches!(role, Role::Record { .. }) {
        let alarm: BTreeMap<_, _> = calls::ALARMS.iter().map(|call| (*call, Vec::new())).collect();
        programs.push(program(alarm, SeccompAction::Allow, SeccompAction::KillProcess)?);
    }
    // The last one put on is asked first: the one that lets no further filter in is put on last.
    for program in programs.iter().rev() {
        apply_filter_all_threads(program).map_err(|e| missing(&e))?;
    }
    Ok(())
}

fn program(
    rules: BTreeMap<i64, Vec<SeccompRule>>,
    mismatch: SeccompAction,
    matched: SeccompAction,
) -> Result<BpfProgram, ConfineError> {
    let arch = TargetArch::try_from(std::env::consts::ARCH).map_err(|e| missing(&e))?;
    SeccompFilter::new(rules, mismatch, matched, arch).and_then(BpfProgram::try_from).map_err(|e| missing(&e))
}

fn rules(calls: Vec<(i64, When)>) -> Result<BTreeMap<i64, Vec<SeccompRule>>, ConfineError> {
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = BTreeMap::new();
    for (call, when) in calls {
        let conditions: Vec<_> = when
            .0
            .iter()
            .map(|&(argument, mask, value)| {
                SeccompCondition::new(argument, SeccompCmpArgLen::Dword, SeccompCmpOp::MaskedEq(mask), value)
            })
            .collect::<Result<_, _>>()
            .map_err(|e| missing(&e))?;
        let entry = rules.entry(call).or_default();
        if !conditions.is_empty() {
            entry.push(SeccompRule::new(conditions).map_err(|e| missing(&e))?);
        }
    }
    Ok(rules)
}

fn missing(why: &dyn std::fmt::Display) -> ConfineError {
    ConfineError::Missing { protection: Protection::Seccomp, why: why.to_string() }
}
