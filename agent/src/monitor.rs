//! Progress, seen from outside: libraries report here, the terminal and the tests listen.

use std::sync::Mutex;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

/// What a run tells while it works. Targets appear by the name that the mandate gives them.
pub trait Monitor: Send + Sync {
    /// Tor is coming up: 0.0 … 1.0 and what it does.
    fn tor(&self, fraction: f32, doing: &str);
    /// A target is being worked on: pages done, pages known, bytes recorded.
    fn target(&self, name: &str, done: u64, known: u64, bytes: u64);
    /// A target is finished.
    fn target_done(&self, name: &str);
    /// A line for the investigator (a refusal, a failure, a warning), already redacted.
    fn line(&self, text: &str);
    /// A long job of known size: done and total in its own unit.
    fn job(&self, what: &str, done: u64, total: u64);
    /// All bars away.
    fn finish(&self);
}

/// Bars on the terminal; where standard error is none, only the lines.
pub struct Terminal {
    bars: MultiProgress,
    named: Mutex<Vec<(String, ProgressBar)>>,
    visible: bool,
}

impl Terminal {
    /// Bars go to standard error, so that standard output stays clean for results.
    pub fn new(quiet: bool) -> Self {
        use std::io::IsTerminal;
        let visible = std::io::stderr().is_terminal() && !quiet;
        let bars = MultiProgress::with_draw_target(if visible {
            ProgressDrawTarget::stderr()
        } else {
            ProgressDrawTarget::hidden()
        });
        Self { bars, named: Mutex::new(Vec::new()), visible }
    }

    fn bar(&self, name: &str, template: &str) -> ProgressBar {
        let mut named = self.named.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some((_, bar)) = named.iter().find(|(n, _)| n == name) {
            return bar.clone();
        }
        let bar = self.bars.add(ProgressBar::new(0));
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("━╸─"));
        }
        bar.enable_steady_tick(Duration::from_millis(200));
        bar.set_prefix(name.to_owned());
        named.push((name.to_owned(), bar.clone()));
        bar
    }
}

const PAGES: &str = "{prefix:16} {bar:28} {pos}/{len} pages  {msg}  {elapsed}";
const JOB: &str = "{prefix:16} {bar:28} {percent}%  {msg}  {elapsed}";

impl Monitor for Terminal {
    fn tor(&self, fraction: f32, doing: &str) {
        let bar = self.bar("tor", JOB);
        bar.set_length(100);
        bar.set_position((fraction.clamp(0.0, 1.0) * 100.0) as u64);
        bar.set_message(doing.to_owned());
        if fraction >= 1.0 {
            bar.finish_with_message("ready");
        }
    }
    fn target(&self, name: &str, done: u64, known: u64, bytes: u64) {
        let bar = self.bar(name, PAGES);
        bar.set_length(known.max(done));
        bar.set_position(done);
        bar.set_message(indicatif::HumanBytes(bytes).to_string());
    }
    fn target_done(&self, name: &str) {
        self.bar(name, PAGES).finish();
    }
    fn line(&self, text: &str) {
        if self.visible {
            let _ = self.bars.println(text);
        } else {
            use std::io::Write;
            let _ = writeln!(std::io::stderr(), "{text}");
        }
    }
    fn job(&self, what: &str, done: u64, total: u64) {
        let bar = self.bar(what, JOB);
        bar.set_length(total);
        bar.set_position(done);
        if done >= total {
            bar.finish();
        }
    }
    fn finish(&self) {
        let named = self.named.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        for (_, bar) in named.iter() {
            bar.abandon();
        }
    }
}
