//! BuildKit's progress, as it comes inside `moby.buildkit.trace` messages: the few fields of its protobuf
//! `StatusResponse` that a log needs [pure].

use std::collections::{HashMap, HashSet};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use prost::Message;

use super::super::BuildOutput;
use super::log::{LineBuffer, Tail};
use crate::model::secret::Secrets;
use crate::util::plain;

#[derive(Clone, PartialEq, Message)]
pub(super) struct StatusResponse {
    #[prost(message, repeated, tag = "1")]
    pub vertexes: Vec<Vertex>,
    #[prost(message, repeated, tag = "2")]
    pub statuses: Vec<VertexStatus>,
    #[prost(message, repeated, tag = "3")]
    pub logs: Vec<VertexLog>,
}

/// One step of the build, sent again whenever something about it changes.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Vertex {
    #[prost(string, tag = "1")]
    pub digest: String,
    #[prost(string, tag = "3")]
    pub name: String,
    #[prost(bool, tag = "4")]
    pub cached: bool,
    #[prost(message, optional, tag = "5")]
    pub started: Option<Timestamp>,
    #[prost(message, optional, tag = "6")]
    pub completed: Option<Timestamp>,
    #[prost(string, tag = "7")]
    pub error: String,
}

/// A part of a step: a layer that is pulled, the image that is written.
#[derive(Clone, PartialEq, Message)]
pub(super) struct VertexStatus {
    #[prost(string, tag = "1")]
    pub id: String,
    #[prost(string, tag = "2")]
    pub vertex: String,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct VertexLog {
    #[prost(string, tag = "1")]
    pub vertex: String,
    #[prost(int64, tag = "3")]
    pub stream: i64,
    #[prost(bytes = "vec", tag = "4")]
    pub msg: Vec<u8>,
}

/// That there is one is all a log needs.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Timestamp {}

/// State of a step, as the trace tells it.
#[derive(Debug, Default)]
struct StepProgress {
    name: String,
    started: bool,
    cached: bool,
    parts: HashSet<String>,
    streams: HashMap<i64, LineBuffer>,
    tail: Tail,
}

impl StepProgress {
    fn show(&mut self, lines: impl IntoIterator<Item = String>, output: &mut Vec<BuildOutput>) {
        for line in lines {
            self.tail.push(&line);
            output.push(BuildOutput::Line(line));
        }
    }

    /// At the step's end: the lines that it has never ended.
    fn finish(&mut self, output: &mut Vec<BuildOutput>) {
        let mut open: Vec<_> = self.streams.drain().collect();
        open.sort_by_key(|(stream, _)| *stream);
        self.show(open.into_iter().filter_map(|(_, mut stream)| stream.finish()), output);
    }
}

/// Turns the trace into a log.
#[derive(Debug, Default)]
pub(super) struct Trace {
    secrets: Secrets,
    steps: HashMap<String, StepProgress>,
    /// The message of the step that failed first.
    failure: Option<String>,
}

impl Trace {
    /// One whose lines are not cut within what is hidden.
    pub fn keeping(secrets: Secrets) -> Trace {
        Trace { secrets, ..Trace::default() }
    }

    /// Takes one message's `aux`; an error says what is wrong with it.
    pub fn push(&mut self, aux: &str, output: &mut Vec<BuildOutput>) -> Result<(), String> {
        let bytes = STANDARD.decode(aux).map_err(|error| format!("BuildKit's trace: {error}"))?;
        let response =
            StatusResponse::decode(bytes.as_slice()).map_err(|error| format!("BuildKit's trace: {error}"))?;
        // A step's last log lines and its error come in one message; its message quotes those lines.
        for vertex in &response.vertexes {
            self.announce(vertex, output);
        }
        for status in response.statuses {
            let told = self.steps.entry(status.vertex).or_default();
            let line = plain::line(&status.id);
            if told.parts.insert(status.id) {
                output.push(BuildOutput::Line(line));
            }
        }
        for log in response.logs {
            let told = self.steps.entry(log.vertex).or_default();
            let lines = {
                let open = || LineBuffer::keeping(self.secrets.clone());
                told.streams.entry(log.stream).or_insert_with(open).push(&log.msg)
            };
            told.show(lines, output);
        }
        for vertex in &response.vertexes {
            if vertex.completed.is_some() || !vertex.error.is_empty() {
                self.steps.entry(vertex.digest.clone()).or_default().finish(output);
            }
            if !vertex.error.is_empty() {
                self.fail(vertex);
            }
        }
        Ok(())
    }

    /// The message of the step that failed, with the last lines of its log.
    pub fn failure(&self) -> Option<&str> {
        self.failure.as_deref()
    }

    fn announce(&mut self, vertex: &Vertex, output: &mut Vec<BuildOutput>) {
        let told = self.steps.entry(vertex.digest.clone()).or_default();
        told.name = plain::line(&vertex.name);
        let starts = vertex.started.is_some() && !told.started;
        let cached = vertex.cached && !told.cached;
        if cached {
            told.cached = true;
            output.push(BuildOutput::Line(format!("CACHED {}", told.name)));
        } else if starts {
            output.push(BuildOutput::Line(told.name.clone()));
        }
        if starts {
            told.started = true;
            output.extend(step_of(&told.name));
        }
    }

    /// At the end of the build: the lines that its steps have never ended.
    pub fn finish(&mut self, output: &mut Vec<BuildOutput>) {
        self.steps.values_mut().for_each(|told| told.finish(output));
    }

    fn fail(&mut self, vertex: &Vertex) {
        let told = self.steps.entry(vertex.digest.clone()).or_default();
        // The others were stopped because this one failed.
        if self.failure.is_none() && !vertex.error.ends_with("context canceled") {
            self.failure = Some(told.tail.under(&format!("{}: {}", told.name, plain::lines(&vertex.error))));
        }
    }
}

/// `[2/7] RUN make` and `[stage 2/7] RUN make` are steps of the Dockerfile; `[internal] ...` is none.
fn step_of(name: &str) -> Option<BuildOutput> {
    let (place, text) = name.strip_prefix('[')?.split_once("] ")?;
    let (number, total) = place.rsplit(' ').next()?.split_once('/')?;
    Some(BuildOutput::Step {
        number: number.parse().ok()?,
        total: total.parse().ok()?,
        text: text.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vertex(digest: &str, name: &str) -> Vertex {
        Vertex { digest: digest.to_string(), name: name.to_string(), ..Vertex::default() }
    }

    fn log(digest: &str, msg: &str) -> VertexLog {
        VertexLog { vertex: digest.to_string(), stream: 1, msg: msg.as_bytes().to_vec() }
    }

    fn push(trace: &mut Trace, response: StatusResponse) -> Vec<BuildOutput> {
        let mut output = Vec::new();
        let aux = STANDARD.encode(response.encode_to_vec());
        trace.push(&aux, &mut output).expect("a trace");
        output
    }

    fn line(text: &str) -> BuildOutput {
        BuildOutput::Line(text.to_string())
    }

    #[test]
    fn a_step_is_told_once_when_it_starts() {
        let mut trace = Trace::default();
        let waiting = vertex("a", "[stage-0 2/7] RUN make");
        let running = Vertex { started: Some(Timestamp {}), ..waiting.clone() };
        let none = StatusResponse { vertexes: vec![waiting], ..StatusResponse::default() };
        let started = StatusResponse { vertexes: vec![running], ..StatusResponse::default() };
        assert_eq!(push(&mut trace, none), []);
        let step = BuildOutput::Step { number: 2, total: 7, text: "RUN make".to_string() };
        assert_eq!(push(&mut trace, started.clone()), [line("[stage-0 2/7] RUN make"), step]);
        assert_eq!(push(&mut trace, started), []);
    }

    #[test]
    fn internal_steps_are_lines_only() {
        assert_eq!(step_of("[internal] load metadata for docker.io/library/debian:trixie"), None);
        assert_eq!(step_of("exporting to image"), None);
    }

    #[test]
    fn lines_of_steps_that_run_together_do_not_mix() {
        let mut trace = Trace::default();
        let both = StatusResponse { logs: vec![log("a", "one "), log("b", "two\n")], ..Default::default() };
        assert_eq!(push(&mut trace, both), [line("two")]);
        let rest = StatusResponse { logs: vec![log("a", "more\n")], ..Default::default() };
        assert_eq!(push(&mut trace, rest), [line("one more")]);
    }

    #[test]
    fn the_first_failure_is_kept_with_its_last_lines() {
        let mut trace = Trace::default();
        let failed = Vertex { error: "exit code: 1".to_string(), ..vertex("a", "[2/2] RUN false") };
        let stopped = Vertex { error: "step: context canceled".to_string(), ..vertex("b", "[1/2] FROM x") };
        let response = StatusResponse {
            vertexes: vec![stopped, failed],
            logs: vec![log("a", "E: no such package\nno line end")],
            ..Default::default()
        };
        push(&mut trace, response);
        assert_eq!(
            trace.failure(),
            Some("[2/2] RUN false: exit code: 1\n  E: no such package\n  no line end")
        );
    }

    #[test]
    fn the_line_that_a_step_never_ended_is_told_with_its_end_or_that_of_the_build() {
        let done = Vertex { completed: Some(Timestamp {}), ..vertex("a", "[1/2] RUN printf x") };
        let mut trace = Trace::default();
        let logs = vec![log("a", "one\nno line "), log("b", "left open")];
        assert_eq!(push(&mut trace, StatusResponse { logs, ..Default::default() }), [line("one")]);
        let response =
            StatusResponse { vertexes: vec![done], logs: vec![log("a", "end")], ..Default::default() };
        assert_eq!(push(&mut trace, response), [line("no line end")]);
        let mut output = Vec::new();
        trace.finish(&mut output);
        assert_eq!(output, [line("left open")]);
    }

    #[test]
    fn a_real_message_of_docker_20_10_is_read() {
        let aux = "GmgKR3NoYTI1Njo1OTZmMTExNjg2YWVhZDUzNGM2YWJkYmYwM2MzZjgxMzU4MmExNzYxYTM3ZmYxOTVkNmM2ZjU2\
                   NDQ4NjMyNWFmEgwIkLCE2AYQlduG1AEYAiING1szMW1yZWQbWzBtCg==";
        let mut output = Vec::new();
        Trace::default().push(aux, &mut output).expect("a trace");
        assert_eq!(output, [line("red")]);
    }

    #[test]
    fn what_is_no_trace_is_an_error() {
        for aux in ["%%%", "/////w=="] {
            assert!(Trace::default().push(aux, &mut Vec::new()).is_err(), "{aux} was read");
        }
    }
}
