use super::*;

#[test]
fn output_input_and_code_are_captured() {
    let output = Command::new("sh").args(["-c", "cat; echo no >&2; exit 3"]).stdin("yes").run().unwrap();
    assert_eq!((output.text().as_str(), output.errors().as_str()), ("yes", "no\n"));
    assert_eq!(output.code(), Some(3));
    assert!(output.clone().exits(3).is_ok());
    assert!(output.success().unwrap_err().to_string().contains("yes"));
}

#[test]
fn a_slow_program_and_its_children_are_killed() {
    let started = Instant::now();
    let error = Command::new("sh")
        .args(["-c", "sleep 300 & echo child $!; wait"])
        .limit(Duration::from_millis(300))
        .run()
        .unwrap_err();
    assert!(started.elapsed() < Duration::from_secs(10));
    let ProcessError::TimedOut { said, .. } = error else { panic!("{error}") };
    let child: i32 = said.trim_start_matches("child ").trim().parse().unwrap();
    let deadline = Instant::now() + Duration::from_secs(5);
    // A killed orphan may be a zombie until init reaps it: it must not be running.
    while std::fs::read_to_string(format!("/proc/{child}/status")).is_ok_and(|s| !s.contains("State:\tZ")) {
        assert!(Instant::now() < deadline, "the grandchild lives");
        std::thread::sleep(POLL);
    }
}

#[test]
fn waits_for_words_and_open_input() {
    let mut running = Command::new("sh").args(["-c", "echo ready; cat; echo gone"]).spawn_with_open_input().unwrap();
    running.wait_for("ready", Duration::from_secs(10)).unwrap();
    assert!(!running.has_ended());
    assert!(running.wait_for("gone", Duration::from_millis(50)).is_err());
    running.close_input();
    running.wait_for("gone", Duration::from_secs(10)).unwrap();
    assert!(running.wait_for("never", Duration::from_secs(10)).is_err());
    assert_eq!(running.wait(Duration::from_secs(10)).unwrap().code(), Some(0));
}
