//! Plain lines on standard error, in Kolla's format: for pipes, CI and log files.

use std::io::{self, Write};
use std::time::Instant;

use super::summary::Summary;
use super::text::{self, LogLine};
use super::{ReportError, Reporter, closing};
use crate::model::event::Event;

/// Choice of what the console shows.
#[derive(Debug, Clone, Copy)]
pub struct ConsoleOptions {
    /// True to leave out the images' own lines.
    pub quiet: bool,
    /// True to show also what was not asked for.
    pub debug: bool,
    /// True to show the summary at the end.
    pub summary: bool,
}

/// Writes every line as it comes, those of parallel builds interleaved, each with its image's name.
pub struct Console {
    out: Box<dyn Write + Send>,
    options: ConsoleOptions,
    started: Instant,
}

impl Console {
    /// A console on standard error.
    pub fn stderr(options: ConsoleOptions) -> Console {
        Console::on(Box::new(io::stderr()), options)
    }

    fn on(out: Box<dyn Write + Send>, options: ConsoleOptions) -> Console {
        Console { out, options, started: Instant::now() }
    }

    /// A console that can't be written to has no place left to complain at, so errors end here.
    fn write(&mut self, line: &LogLine, summary: &Summary) {
        let label = line.unit.as_ref().map(|unit| summary.label(unit));
        let line = line.kolla_line(label.as_deref()) + "\n";
        let _ = self.out.write_all(line.as_bytes());
    }
}

impl Reporter for Console {
    fn event(&mut self, event: &Event, so_far: &Summary) {
        for line in text::log_lines(event) {
            if !(self.options.quiet && line.unit.is_some()) {
                self.write(&line, so_far);
            }
        }
    }

    fn finish(&mut self, summary: &Summary) -> Vec<ReportError> {
        if self.options.summary {
            let mut lines = closing::listing(summary, self.options.debug);
            lines.extend(closing::reasons(summary));
            lines.extend(closing::root_causes(summary));
            lines.push(closing::verdict(summary, self.started.elapsed()));
            lines.iter().for_each(|line| self.write(line, summary));
        }
        Vec::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::testing::*;

    const ALL: ConsoleOptions = ConsoleOptions { quiet: false, debug: false, summary: true };

    fn console_after(options: ConsoleOptions) -> String {
        let (plan, events) = failing_parent();
        let out = SharedBuffer::default();
        run_through(&plan, &events, &mut Console::on(Box::new(out.clone()), options));
        out.text()
    }

    #[test]
    fn lines_carry_their_image_and_the_end_names_causes_and_last_lines() {
        insta::assert_snapshot!(resting(&console_after(ALL)), @"
        INFO:kolla.common.utils:6 images to bring up to date
        INFO:kolla.common.utils.base:Unchanged, nothing to build
        INFO:kolla.common.utils.memcached:Building started
        INFO:kolla.common.utils.openstack-base:Building started
        INFO:kolla.common.utils.memcached:Step 1/2 : FROM kolla/base
        INFO:kolla.common.utils.openstack-base:Reading package lists...
        INFO:kolla.common.utils.memcached:Built (took 1m 12s)
        INFO:kolla.common.utils.openstack-base:E: Unable to locate package python3-venvv
        ERROR:kolla.common.utils.openstack-base:The command '/bin/sh -c apt-get install' returned a non-zero code: 100
        ERROR:kolla.common.utils.horizon:Not built because openstack-base failed
        ERROR:kolla.common.utils.keystone:Not built because openstack-base failed
        INFO:kolla.common.utils.mariadb-server:Building started
        INFO:kolla.common.utils.mariadb-server:Built (took 1m 12s)
        INFO:kolla.common.utils:=========================
        INFO:kolla.common.utils:Successfully built images
        INFO:kolla.common.utils:=========================
        INFO:kolla.common.utils:base
        INFO:kolla.common.utils:mariadb-server
        INFO:kolla.common.utils:memcached
        INFO:kolla.common.utils:===========================
        INFO:kolla.common.utils:Images that failed to build
        INFO:kolla.common.utils:===========================
        ERROR:kolla.common.utils:horizon Failed with status: parent_error
        ERROR:kolla.common.utils:keystone Failed with status: parent_error
        ERROR:kolla.common.utils:openstack-base Failed with status: error
        INFO:kolla.common.utils:===================================
        INFO:kolla.common.utils:Images skipped due to build options
        INFO:kolla.common.utils:===================================
        INFO:kolla.common.utils:cron
        INFO:kolla.common.utils:=========================================
        INFO:kolla.common.utils:Images not buildable due to build options
        INFO:kolla.common.utils:=========================================
        INFO:kolla.common.utils:tgtd
        ERROR:kolla.common.utils:Why openstack-base failed:
        ERROR:kolla.common.utils.openstack-base:Reading package lists...
        ERROR:kolla.common.utils.openstack-base:E: Unable to locate package python3-venvv
        ERROR:kolla.common.utils.openstack-base:The command '/bin/sh -c apt-get install' returned a non-zero code: 100
        ERROR:kolla.common.utils:horizon, keystone: not built because openstack-base failed
        ERROR:kolla.common.utils:Finished in 0s: 2 images built, 1 unchanged, 1 failed, 2 not built
        ");
    }

    #[test]
    fn quiet_leaves_out_the_images_lines_but_not_the_summary() {
        let out = console_after(ConsoleOptions { quiet: true, ..ALL });
        assert!(!out.contains("Building started"), "{out}");
        assert!(out.contains("ERROR:kolla.common.utils:openstack-base Failed with status: error\n"), "{out}");
        assert!(out.contains("E: Unable to locate package python3-venvv"), "{out}");
    }

    #[test]
    fn without_a_summary_only_the_lines_are_told() {
        let out = console_after(ConsoleOptions { summary: false, ..ALL });
        assert!(out.contains("Reading package lists") && !out.contains("Failed with status"), "{out}");
    }
}
