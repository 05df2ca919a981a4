//! A line at the foot of a terminal that says how many of so many are done, and what goes on just now.

use std::fmt;

use indicatif::{ProgressBar, ProgressDrawTarget};

use super::progress::{TICK, total_style};

/// The line; it goes with this value.
pub struct Tally(ProgressBar);

impl Tally {
    /// One that nobody sees.
    pub fn hidden() -> Tally {
        Tally::on(ProgressDrawTarget::hidden())
    }

    /// One on standard error, which is a terminal.
    pub fn stderr() -> Tally {
        Tally::on(ProgressDrawTarget::stderr())
    }

    fn on(target: ProgressDrawTarget) -> Tally {
        Tally(ProgressBar::with_draw_target(Some(0), target).with_style(total_style()))
    }

    /// Shows the line from now on, with none of so many done.
    pub fn begin(&self, all: usize) {
        self.0.set_length(all as u64);
        self.0.enable_steady_tick(TICK);
    }

    /// Says what goes on.
    pub fn doing(&self, what: impl fmt::Display) {
        self.0.set_message(what.to_string());
    }

    /// Counts one more that is done.
    pub fn one_done(&self) {
        self.0.inc(1);
    }

    /// Lets something else be told, which is above the line then.
    pub fn aside(&self, tell: impl FnOnce()) {
        self.0.suspend(tell);
    }
}

impl Drop for Tally {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

#[cfg(test)]
mod tests {
    use indicatif::InMemoryTerm;

    use super::*;

    #[test]
    fn it_counts_below_what_is_told_and_goes() {
        let terminal = InMemoryTerm::new(4, 60);
        let tally = Tally::on(ProgressDrawTarget::term_like(Box::new(terminal.clone())));
        tally.begin(4);
        tally.one_done();
        tally.doing("waiting for mariadb");
        tally.0.disable_steady_tick();
        // Drawing is rate limited.
        std::thread::sleep(TICK);
        tally.0.tick();
        let shown = terminal.contents();
        assert!(shown.starts_with("=====> ") && shown.contains(" 1/4 "), "{shown}");
        assert!(shown.ends_with("waiting for mariadb"), "{shown}");
        drop(tally);
        assert_eq!(terminal.contents(), "");
    }
}
