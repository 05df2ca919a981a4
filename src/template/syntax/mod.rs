//! Jinja2's syntax within tags: read once, to know what is in a tag and how deep, and what is to be changed in it.

mod edits;
mod expression;
mod operand;
mod statement;
mod tokens;

pub use expression::{ExpressionParser, SyntaxRefusal, Use};
pub use statement::{Form, Statement, output, statement};
