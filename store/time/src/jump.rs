//! A wall clock that moved against the clock that counts from boot.

/// From this much on, a difference is a jump: two seconds, in nanoseconds. A time service that corrects
/// by speeding up or slowing down moves both clocks together and makes none.
pub const CLOCK_JUMP_NS: i128 = 2_000_000_000;

/// How far the wall clock was set between two readings within one boot, in nanoseconds, forward being
/// positive; `None` when it was not, by the tolerance. Each reading is wall clock (since 1970) and
/// time since boot (suspension included), in nanoseconds.
pub fn clock_jump(before: (i128, u64), after: (i128, u64)) -> Option<i128> {
    let wall = after.0 - before.0;
    let run = i128::from(after.1) - i128::from(before.1);
    let moved = wall - run;
    (moved.abs() > CLOCK_JUMP_NS).then_some(moved)
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: u64 = 1_000_000_000;

    #[test]
    fn only_a_difference_is_a_jump() {
        let at = |wall: u64, run: u64| (i128::from(wall * S), run * S);
        assert_eq!(clock_jump(at(100, 5), at(200, 105)), None, "both ran");
        assert_eq!(clock_jump(at(100, 5), at(202, 105)), None, "within the tolerance");
        assert_eq!(clock_jump(at(100, 5), at(3800, 105)), Some(3_600_000_000_000), "set forward");
        assert_eq!(clock_jump(at(100, 5), at(101, 105)), Some(-99_000_000_000), "set back");
        assert_eq!(clock_jump(at(100, 5), at(100, 0)), Some(5_000_000_000), "the count from boot cannot go back");
    }
}
