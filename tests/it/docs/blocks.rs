//! Fenced blocks of documents.

/// What a test does with a block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Run {
    /// Its commands are run.
    Whole,
    /// Its commands are only read, by the program with `--print-config`: `sh no-run: WHY`.
    Checked,
    /// It is a file of this name: `toml build.toml`.
    File(String),
    /// It is something else.
    No,
}

/// A fenced block.
#[derive(Debug)]
pub struct Block {
    /// Where it begins, from 1.
    pub line: usize,
    pub run: Run,
    /// The word behind the fence: `sh`.
    pub language: String,
    pub text: String,
}

impl Block {
    /// What a shell is given: all of it, or in a `console` the lines behind a `$`.
    pub fn commands(&self) -> String {
        if self.language != "console" {
            return self.text.clone();
        }
        self.text
            .lines()
            .filter_map(|line| line.strip_prefix("$ "))
            .fold(String::new(), |all, line| all + line + "\n")
    }
}

/// The fenced blocks of a document, in order.
pub fn blocks(document: &str) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    let mut open = false;
    for (at, line) in document.lines().enumerate() {
        match (line.strip_prefix("```"), open) {
            (Some(info), false) => {
                blocks.push(Block::new(at + 1, info));
                open = true;
            }
            (Some(_), true) => open = false,
            (None, true) => {
                let block = blocks.last_mut().expect("one is open");
                block.text = format!("{}{line}\n", block.text);
            }
            (None, false) => {}
        }
    }
    assert!(!open, "a block does not end");
    blocks
}

/// A document without its fenced blocks.
pub fn prose(document: &str) -> String {
    let mut open = false;
    let mut prose = String::new();
    for line in document.lines() {
        let fence = line.starts_with("```");
        open ^= fence;
        if !open && !fence {
            prose += line;
        }
        prose.push('\n');
    }
    prose
}

impl Block {
    fn new(line: usize, info: &str) -> Block {
        let (language, rest) = info.split_once(' ').unwrap_or((info, ""));
        let run = match (language, rest) {
            ("sh" | "console", "") => Run::Whole,
            ("sh", rest) if rest.strip_prefix("no-run: ").is_some_and(|why| !why.is_empty()) => Run::Checked,
            ("sh" | "console", rest) => panic!("line {line}: '{rest}' is not 'no-run: WHY'"),
            (_, "") => Run::No,
            (_, name) => Run::File(name.to_string()),
        };
        Block { line, run, language: language.to_string(), text: String::new() }
    }
}
