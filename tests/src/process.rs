//! Programs under a time limit: what they say is captured, and their whole process group ends
//! with the value that stands for them.

use std::ffi::{OsStr, OsString};
use std::io::{Read, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions};

/// How often a condition is looked at.
const POLL: Duration = Duration::from_millis(10);
/// Limit of a command that names none.
const DEFAULT_LIMIT: Duration = Duration::from_secs(60);
/// Characters of output that an error shows.
const SHOWN_CHARS: usize = 2000;

/// Why a program did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    /// It could not be started.
    #[error("starting `{program}`: {source}: is it installed and on PATH?")]
    Start {
        /// Program.
        program: String,
        /// Cause.
        source: std::io::Error,
    },
    /// It did not end in time and was killed.
    #[error("`{command}` did not end within {limit:?} and was killed; it said: {said}")]
    TimedOut {
        /// Program and arguments.
        command: String,
        /// The limit.
        limit: Duration,
        /// The end of what it said.
        said: String,
    },
    /// It ended otherwise than asked.
    #[error("`{command}` ended with {status}; it said: {said}")]
    Failed {
        /// Program and arguments.
        command: String,
        /// How it ended.
        status: ExitStatus,
        /// The end of what it said.
        said: String,
    },
    /// It did not say what was waited for.
    #[error("`{command}` did not say `{wanted}` ({why}); it said: {said}")]
    NotSaid {
        /// Program and arguments.
        command: String,
        /// What was waited for.
        wanted: String,
        /// Time out or end.
        why: String,
        /// The end of what it said.
        said: String,
    },
}

/// A program to run.
#[derive(Debug, Clone)]
pub struct Command {
    program: OsString,
    args: Vec<OsString>,
    env: Vec<(OsString, Option<OsString>)>,
    dir: Option<PathBuf>,
    stdin: Option<Vec<u8>>,
    limit: Duration,
}

impl Command {
    /// A program by name (found on `PATH`) or path; 60 s, no input.
    pub fn new(program: impl AsRef<OsStr>) -> Self {
        Self {
            program: program.as_ref().to_owned(),
            args: Vec::new(),
            env: Vec::new(),
            dir: None,
            stdin: None,
            limit: DEFAULT_LIMIT,
        }
    }

    /// Adds an argument.
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.args.push(arg.as_ref().to_owned());
        self
    }

    /// Adds arguments.
    pub fn args<I: IntoIterator<Item = S>, S: AsRef<OsStr>>(mut self, args: I) -> Self {
        self.args.extend(args.into_iter().map(|a| a.as_ref().to_owned()));
        self
    }

    /// The same, started by another program that ends its own arguments with a command.
    pub fn through<I: IntoIterator<Item = S>, S: AsRef<OsStr>>(mut self, program: impl AsRef<OsStr>, args: I) -> Self {
        let inner = std::mem::replace(&mut self.program, program.as_ref().to_owned());
        let outer = args.into_iter().map(|arg| arg.as_ref().to_owned()).chain([inner]);
        self.args.splice(0..0, outer);
        self
    }

    /// The same on a terminal of its own (script(1)), whose output and input are this command's.
    pub fn on_terminal(self) -> Self {
        let words = std::iter::once(&self.program).chain(&self.args);
        let quoted: Vec<_> = words.map(|word| format!("'{}'", word.to_string_lossy().replace('\'', "'\\''"))).collect();
        let args = ["-q".into(), "-e".into(), "-c".into(), quoted.join(" ").into(), "/dev/null".into()];
        Self { program: "script".into(), args: args.to_vec(), ..self }.env("SHELL", "/bin/sh")
    }

    /// Sets an environment variable.
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.env.push((name.as_ref().to_owned(), Some(value.as_ref().to_owned())));
        self
    }

    /// Removes an environment variable.
    pub fn env_remove(mut self, name: impl AsRef<OsStr>) -> Self {
        self.env.push((name.as_ref().to_owned(), None));
        self
    }

    /// Sets the working directory.
    pub fn dir(mut self, dir: impl AsRef<Path>) -> Self {
        self.dir = Some(dir.as_ref().to_owned());
        self
    }

    /// Gives input, after which standard input closes. Without it, input is empty; a started
    /// program whose input must stay open uses [`Command::spawn_with_open_input`].
    pub fn stdin(mut self, bytes: impl AsRef<[u8]>) -> Self {
        self.stdin = Some(bytes.as_ref().to_owned());
        self
    }

    /// Sets the time limit of [`Command::run`].
    pub fn limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// Program and arguments in one line.
    fn shown(&self) -> String {
        std::iter::once(&self.program)
            .chain(&self.args)
            .map(|word| word.to_string_lossy())
            .collect::<Vec<_>>()
            .join(" ")
    }

    /// Runs to the end.
    ///
    /// # Errors
    /// When it cannot be started or does not end in time. A bad exit code is no error here: see
    /// [`Output::success`].
    pub fn run(self) -> Result<Output, ProcessError> {
        let limit = self.limit;
        self.spawn()?.wait(limit)
    }

    /// Starts the program with its input, if any, and lets it run.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn spawn(self) -> Result<Running, ProcessError> {
        let input = self.stdin.clone().unwrap_or_default();
        let mut running = self.spawn_with_open_input()?;
        if let Some(mut stdin) = running.stdin.take().filter(|_| !input.is_empty()) {
            // In a thread: a program that does not read must not block its caller.
            std::thread::spawn(move || {
                let _ = stdin.write_all(&input);
            });
        }
        Ok(running)
    }

    /// Starts the program with a standard input that stays open until [`Running::close_input`].
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn spawn_with_open_input(self) -> Result<Running, ProcessError> {
        let mut command = std::process::Command::new(&self.program);
        command.args(&self.args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        for (name, value) in &self.env {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        if let Some(dir) = &self.dir {
            command.current_dir(dir);
        }
        let started = Instant::now();
        let mut child = command
            .spawn()
            .map_err(|source| ProcessError::Start { program: self.program.to_string_lossy().into_owned(), source })?;
        let stdout = Capture::of(child.stdout.take());
        let stderr = Capture::of(child.stderr.take());
        let stdin = child.stdin.take();
        Ok(Running {
            shown: self.shown(),
            child,
            stdin,
            stdout,
            stderr,
            started,
            peak_memory_bytes: None,
            reaped: false,
        })
    }
}

/// What a program said and how it ended.
#[derive(Debug, Clone)]
pub struct Output {
    /// Program and arguments.
    pub command: String,
    /// How it ended.
    pub status: ExitStatus,
    /// Standard output.
    pub stdout: Vec<u8>,
    /// Standard error.
    pub stderr: Vec<u8>,
    /// How long it ran.
    pub took: Duration,
    /// Highest resident memory of the program itself, sampled every 10 ms, in bytes (`VmHWM` of
    /// proc_pid_status(5)); nothing when it ended before the first sample.
    pub peak_memory_bytes: Option<u64>,
}

impl Output {
    /// Standard output as text (invalid UTF-8 replaced).
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// Standard error as text (invalid UTF-8 replaced).
    pub fn errors(&self) -> String {
        String::from_utf8_lossy(&self.stderr).into_owned()
    }

    /// Exit code; nothing when a signal ended it.
    pub fn code(&self) -> Option<i32> {
        self.status.code()
    }

    /// Itself when the exit code is 0.
    ///
    /// # Errors
    /// Any other end, with what the program said.
    pub fn success(self) -> Result<Self, ProcessError> {
        self.exits(0)
    }

    /// Itself when the exit code is this one.
    ///
    /// # Errors
    /// Any other end, with what the program said.
    pub fn exits(self, code: i32) -> Result<Self, ProcessError> {
        if self.status.code() == Some(code) {
            return Ok(self);
        }
        let said = tail(&[self.stdout.as_slice(), self.stderr.as_slice()].concat());
        Err(ProcessError::Failed { command: self.command, status: self.status, said })
    }
}

/// A program that runs; its whole group is killed when this is dropped.
#[derive(Debug)]
pub struct Running {
    shown: String,
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: Capture,
    stderr: Capture,
    started: Instant,
    peak_memory_bytes: Option<u64>,
    reaped: bool,
}

impl Running {
    /// Process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Writes to its standard input.
    ///
    /// # Errors
    /// When it was closed, by either side.
    pub fn write(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        let stdin = self.stdin.as_mut().ok_or(std::io::ErrorKind::BrokenPipe)?;
        stdin.write_all(bytes)?;
        stdin.flush()
    }

    /// Closes its standard input.
    pub fn close_input(&mut self) {
        self.stdin = None;
    }

    /// Sends a signal to the program alone (not to what it started).
    pub fn signal(&self, signal: Signal) {
        if let (false, Some(pid)) = (self.reaped, pid_of(&self.child)) {
            let _ = rustix::process::kill_process(pid, signal);
        }
    }

    /// Standard output so far.
    pub fn stdout_so_far(&self) -> String {
        String::from_utf8_lossy(&self.stdout.bytes()).into_owned()
    }

    /// Standard error so far.
    pub fn stderr_so_far(&self) -> String {
        String::from_utf8_lossy(&self.stderr.bytes()).into_owned()
    }

    /// Waits until a text stands in standard output or standard error.
    ///
    /// # Errors
    /// When it ends first or the limit passes.
    pub fn wait_for(&mut self, wanted: &str, limit: Duration) -> Result<(), ProcessError> {
        let deadline = Instant::now() + limit;
        loop {
            let ended = self.has_ended();
            if ended {
                self.stdout.join();
                self.stderr.join();
            }
            if self.stdout_so_far().contains(wanted) || self.stderr_so_far().contains(wanted) {
                return Ok(());
            }
            let why = match () {
                () if ended => "it ended first".to_owned(),
                () if Instant::now() > deadline => format!("waited {limit:?}"),
                () => {
                    std::thread::sleep(POLL);
                    continue;
                }
            };
            return Err(ProcessError::NotSaid {
                command: self.shown.clone(),
                wanted: wanted.to_owned(),
                why,
                said: self.said(),
            });
        }
    }

    /// Whether the program itself has ended (it is not reaped yet, so its id stays its own).
    pub fn has_ended(&mut self) -> bool {
        if self.reaped {
            return true;
        }
        if let Some(peak) = peak_memory_bytes(self.child.id()) {
            self.peak_memory_bytes = Some(peak);
        }
        let Some(pid) = pid_of(&self.child) else { return true };
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        matches!(rustix::process::waitid(WaitId::Pid(pid), options), Ok(Some(_)) | Err(_))
    }

    /// Waits for the end; when the limit passes, kills the group.
    ///
    /// # Errors
    /// When the limit passes.
    pub fn wait(mut self, limit: Duration) -> Result<Output, ProcessError> {
        let deadline = Instant::now() + limit;
        while !self.has_ended() {
            if Instant::now() > deadline {
                let _ = self.end_group();
                return Err(ProcessError::TimedOut { command: self.shown.clone(), limit, said: self.said() });
            }
            std::thread::sleep(POLL);
        }
        let took = self.started.elapsed();
        let status = self.end_group().map_err(|source| ProcessError::Start { program: self.shown.clone(), source })?;
        Ok(Output {
            command: self.shown.clone(),
            status,
            stdout: self.stdout.bytes(),
            stderr: self.stderr.bytes(),
            took,
            peak_memory_bytes: self.peak_memory_bytes,
        })
    }

    /// Kills what is left of the group while its leader is not reaped (so that the id cannot
    /// belong to another group), then reaps the leader.
    fn end_group(&mut self) -> std::io::Result<ExitStatus> {
        if let (false, Some(pid)) = (self.reaped, pid_of(&self.child)) {
            let _ = rustix::process::kill_process_group(pid, Signal::KILL);
        }
        let status = self.child.wait();
        self.reaped = true;
        self.stdout.join();
        self.stderr.join();
        status
    }

    fn said(&self) -> String {
        tail(&[self.stdout.bytes(), self.stderr.bytes()].concat())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.reaped {
            let _ = self.end_group();
        }
    }
}

fn pid_of(child: &Child) -> Option<Pid> {
    i32::try_from(child.id()).ok().and_then(Pid::from_raw)
}

/// Highest resident memory of a process so far (proc_pid_status(5), `VmHWM`), in bytes.
pub fn peak_memory_bytes(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kib * 1024)
}

/// The end of what a program said, in one line.
fn tail(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let skip = text.chars().count().saturating_sub(SHOWN_CHARS);
    text.chars().skip(skip).collect::<String>().trim().replace('\n', " | ")
}

/// A pipe read to its end by a thread.
#[derive(Debug)]
struct Capture {
    bytes: Arc<Mutex<Vec<u8>>>,
    thread: Option<JoinHandle<()>>,
}

impl Capture {
    fn of(pipe: Option<impl Read + Send + 'static>) -> Self {
        let bytes = Arc::new(Mutex::new(Vec::new()));
        let thread = pipe.map(|mut pipe| {
            let bytes = bytes.clone();
            std::thread::spawn(move || {
                let mut chunk = [0; 8192];
                while let Ok(len @ 1..) = pipe.read(&mut chunk) {
                    bytes.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(&chunk[..len]);
                }
            })
        });
        Self { bytes, thread }
    }

    fn bytes(&self) -> Vec<u8> {
        self.bytes.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits for the pipe's end. A daemon that left the group may hold the pipe open for ever:
    /// after one second its words are given up.
    fn join(&mut self) {
        let Some(thread) = self.thread.take() else { return };
        let deadline = Instant::now() + Duration::from_secs(1);
        while !thread.is_finished() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(1));
        }
        if thread.is_finished() {
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests;
