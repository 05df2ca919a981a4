//! Follows one build's messages, of either builder: what to show, what was built, why it failed [pure].

use super::super::BuildOutput;
use super::log::{LineBuffer, Tail};
use super::messages::Message;
use super::trace::Trace;
use crate::model::secret::Secrets;
use crate::util::plain;

/// State of a build, as its messages tell it.
#[derive(Debug, Default)]
pub(super) struct Progress {
    stream: LineBuffer,
    tail: Tail,
    trace: Trace,
    image_id: Option<String>,
    failure: Option<String>,
}

impl Progress {
    /// One whose lines are not cut within what is hidden.
    pub fn keeping(secrets: &Secrets) -> Progress {
        Progress {
            stream: LineBuffer::keeping(secrets.clone()),
            trace: Trace::keeping(secrets.clone()),
            ..Progress::default()
        }
    }

    /// Takes the next message, gives what it shows; an error says why it can't be read.
    pub fn push(&mut self, message: Message) -> Result<Vec<BuildOutput>, String> {
        let mut output = Vec::new();
        let error = message.failure();
        if let Some(piece) = message.stream {
            if is_classic_own(&piece) {
                output.extend(self.end_line());
            }
            for line in self.stream.push(piece.as_bytes()) {
                self.classic_line(line, &mut output);
            }
        }
        if let Some(status) = message.status.filter(|_| message.progress.is_none()) {
            let line = match &message.id {
                Some(id) => format!("{id}: {status}"),
                None => status,
            };
            output.push(BuildOutput::Line(plain::line(&line)));
        }
        match message.aux {
            Some(serde_json::Value::String(trace))
                if message.id.as_deref() == Some("moby.buildkit.trace") =>
            {
                self.trace.push(&trace, &mut output)?;
            }
            Some(aux) => {
                if let Some(id) = aux.get("ID").and_then(|id| id.as_str()) {
                    self.image_id = Some(id.to_string());
                }
            }
            None => {}
        }
        if let Some(error) = error {
            output.extend(self.finish());
            let quoted = || self.tail.under(plain::lines(&error).trim_end());
            self.failure = Some(self.trace.failure().map_or_else(quoted, str::to_string));
        }
        Ok(output)
    }

    /// At the end of the messages: the lines that were never ended.
    pub fn finish(&mut self) -> Vec<BuildOutput> {
        let mut output: Vec<BuildOutput> = self.end_line().into_iter().collect();
        self.trace.finish(&mut output);
        output
    }

    /// The line of the classic builder's log that is not ended.
    fn end_line(&mut self) -> Option<BuildOutput> {
        let line = self.stream.finish()?;
        self.tail.push(&line);
        Some(BuildOutput::Line(line))
    }

    /// Why the build failed, when it did.
    pub fn failure(&mut self) -> Option<String> {
        self.failure.take()
    }

    /// True once the engine has named the image that it built.
    pub fn is_built(&self) -> bool {
        self.image_id.is_some()
    }

    fn classic_line(&mut self, line: String, output: &mut Vec<BuildOutput>) {
        let step = step_of(&line);
        if step.is_some() {
            self.tail.clear();
        } else if let Some(id) = line.strip_prefix("Successfully built ") {
            self.image_id = Some(id.to_string());
        } else if !is_classic_own(&line) {
            self.tail.push(&line);
        }
        output.push(BuildOutput::Line(line));
        output.extend(step);
    }
}

/// True for the classic builder's own words between the output of steps. These are messages of their own, which do not
/// continue a line that a step left without end.
fn is_classic_own(text: &str) -> bool {
    text.starts_with(" ---> ") || text.starts_with("Removing intermediate container ")
}

/// `Step 3/12 : RUN make`; Podman writes `STEP 3/12: RUN make`.
fn step_of(line: &str) -> Option<BuildOutput> {
    let rest = line.strip_prefix("Step ").or_else(|| line.strip_prefix("STEP "))?;
    let (place, text) = rest.split_once(':')?;
    let (number, total) = place.trim_end().split_once('/')?;
    Some(BuildOutput::Step {
        number: number.parse().ok()?,
        total: total.parse().ok()?,
        text: text.trim_start().to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn follow(messages: &[&str]) -> (Progress, Vec<BuildOutput>) {
        let mut progress = Progress::default();
        let mut output = Vec::new();
        for message in messages {
            let message = serde_json::from_str(message).expect("JSON");
            output.extend(progress.push(message).expect("a message"));
        }
        (progress, output)
    }

    #[test]
    fn classic_steps_and_lines() {
        let (progress, output) = follow(&[
            r#"{"stream":"Step 2/3 : RUN make"}"#,
            r#"{"stream":"\n"}"#,
            r#"{"stream":"a line in"}"#,
            r#"{"stream":" two pieces\n"}"#,
            r#"{"aux":{"ID":"sha256:abc"}}"#,
        ]);
        assert!(progress.is_built());
        assert_eq!(
            output,
            [
                BuildOutput::Line("Step 2/3 : RUN make".to_string()),
                BuildOutput::Step { number: 2, total: 3, text: "RUN make".to_string() },
                BuildOutput::Line("a line in two pieces".to_string()),
            ]
        );
    }

    #[test]
    fn a_classic_failure_quotes_the_last_lines_of_its_step() {
        let (mut progress, _) = follow(&[
            r#"{"stream":"Step 1/2 : RUN one\n"}"#,
            r#"{"stream":"of another step\n"}"#,
            r#"{"stream":"Step 2/2 : RUN two\n ---> Running in 39090c1e24cb\n"}"#,
            r#"{"stream":"E: no such package\nno line end"}"#,
            r#"{"stream":"Removing intermediate container 39090c1e24cb\n"}"#,
            r#"{"errorDetail":{"code":1,"message":"returned a non-zero code: 1"},"error":"the same"}"#,
        ]);
        assert_eq!(
            progress.failure().as_deref(),
            Some("returned a non-zero code: 1\n  E: no such package\n  no line end")
        );
    }

    #[test]
    fn podman_tells_errors_and_steps_in_its_own_way() {
        let (mut progress, output) =
            follow(&[r#"{"stream":"STEP 1/2: FROM x\n"}"#, r#"{"error":"no space"}"#]);
        assert_eq!(progress.failure().as_deref(), Some("no space"));
        assert_eq!(
            output.last(),
            Some(&BuildOutput::Step { number: 1, total: 2, text: "FROM x".to_string() })
        );
    }

    #[test]
    fn of_a_pull_the_bars_are_left_out() {
        let (_, output) = follow(&[
            r#"{"status":"Pulling fs layer","progressDetail":{},"id":"abc"}"#,
            r#"{"status":"Downloading","progressDetail":{"current":1},"progress":"[=> ]","id":"abc"}"#,
        ]);
        assert_eq!(output, [BuildOutput::Line("abc: Pulling fs layer".to_string())]);
    }
}
