//! BuildKit's messages: it tells of steps in protobuf.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use prost::Message;

use serde_json::json;

use super::dockerfile::Instruction;
use super::messages::{Builder, line, log_of};

#[derive(Clone, PartialEq, Message)]
struct Status {
    #[prost(message, repeated, tag = "1")]
    vertexes: Vec<Vertex>,
    #[prost(message, repeated, tag = "3")]
    logs: Vec<Log>,
}

#[derive(Clone, PartialEq, Message)]
struct Vertex {
    #[prost(string, tag = "1")]
    digest: String,
    #[prost(string, tag = "3")]
    name: String,
    #[prost(message, optional, tag = "5")]
    started: Option<Timestamp>,
    #[prost(string, tag = "7")]
    error: String,
}

#[derive(Clone, PartialEq, Message)]
struct Log {
    #[prost(string, tag = "1")]
    vertex: String,
    #[prost(int64, tag = "3")]
    stream: i64,
    #[prost(bytes = "vec", tag = "4")]
    msg: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
struct Timestamp {
    #[prost(int64, tag = "1")]
    seconds: i64,
}

/// BuildKit.
pub struct BuildKit;

fn trace(status: &Status) -> Vec<u8> {
    line(&json!({"id": "moby.buildkit.trace", "aux": STANDARD.encode(status.encode_to_vec())}))
}

fn log(vertex: &Vertex, text: &str) -> Log {
    Log { vertex: vertex.digest.clone(), stream: 1, msg: text.as_bytes().to_vec() }
}

/// Every step with its vertex, started.
fn vertexes(instructions: &[Instruction]) -> Vec<(&Instruction, Vertex)> {
    let steps: Vec<_> = instructions.iter().filter(|instruction| instruction.is_step()).collect();
    let total = steps.len();
    let vertex = |(index, instruction): (usize, &Instruction)| Vertex {
        digest: format!("sha256:{index}"),
        name: format!("[{}/{total}] {} {}", index + 1, instruction.name, instruction.arguments),
        started: Some(Timestamp { seconds: 1 }),
        error: String::new(),
    };
    steps.into_iter().enumerate().map(|(index, step)| (step, vertex((index, step)))).collect()
}

impl Builder for BuildKit {
    fn steps(&self, instructions: &[Instruction]) -> Vec<Vec<u8>> {
        let status = |(instruction, vertex): (&Instruction, Vertex)| {
            trace(&Status { logs: vec![log(&vertex, &log_of(instruction))], vertexes: vec![vertex] })
        };
        vertexes(instructions).into_iter().map(status).collect()
    }

    fn failing_step(&self, instructions: &[Instruction], message: &str, text: &str) -> Vec<Vec<u8>> {
        let (_, mut vertex) = vertexes(instructions).pop().expect("a Dockerfile has a step");
        vertex.error = message.to_string();
        let logs = vec![log(&vertex, &format!("{text}\n"))];
        vec![trace(&Status { vertexes: vec![vertex], logs }), self.failure(message)]
    }

    fn success(&self, id: &str, tag: &str) -> Vec<Vec<u8>> {
        vec![
            line(&json!({"id": "moby.image.id", "aux": {"ID": id}})),
            line(&json!({"stream": format!("Successfully tagged {tag}\n")})),
        ]
    }
}
