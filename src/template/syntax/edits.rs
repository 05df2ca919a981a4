//! Changes to a text, collected while it is read and made all at once.

use std::borrow::Cow;

/// Where a change stands among others at the same place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    /// Text that closes something that ends here.
    After,
    /// Text that opens something that starts here.
    Before,
    /// Text in place of the one that starts here.
    Instead,
    /// Nothing takes the place of the text that starts here, nor of the changes in it.
    Nothing,
}

#[derive(Debug)]
struct Edit {
    start: usize,
    end: usize,
    rank: Rank,
    text: String,
}

/// Changes to one text.
#[derive(Debug, Default)]
pub struct Edits(Vec<Edit>);

impl Edits {
    /// Puts text around what stands between two places: inside of what is put around it later.
    pub fn wrap(&mut self, start: usize, before: impl Into<String>, end: usize, after: impl Into<String>) {
        self.0.push(Edit { start, end: start, rank: Rank::Before, text: before.into() });
        self.0.push(Edit { start: end, end, rank: Rank::After, text: after.into() });
    }

    /// Puts text behind what ends at a place.
    pub fn after(&mut self, end: usize, text: impl Into<String>) {
        self.0.push(Edit { start: end, end, rank: Rank::After, text: text.into() });
    }

    /// Puts text in the place of other text, whose line ends stay.
    pub fn replace(&mut self, old: &str, start: usize, text: &str) {
        let lines = old.matches('\n').count().saturating_sub(text.matches('\n').count());
        let text = format!("{text}{}", "\n".repeat(lines));
        self.0.push(Edit { start, end: start + old.len(), rank: Rank::Instead, text });
    }

    /// Takes out what stands between two places, with its line ends and all changes to it.
    pub fn remove(&mut self, start: usize, end: usize) {
        self.0.push(Edit { start, end, rank: Rank::Nothing, text: String::new() });
    }

    /// The part of a text between two places, with the changes that lie in it.
    pub fn apply<'t>(&self, text: &'t str, start: usize, end: usize) -> Cow<'t, str> {
        if self.0.is_empty() {
            return Cow::Borrowed(&text[start..end]);
        }
        let within = |edit: &Edit| match edit.rank {
            Rank::After => edit.start > start && edit.start <= end,
            Rank::Before | Rank::Instead | Rank::Nothing => edit.start >= start && edit.start < end,
        };
        let mut order: Vec<(usize, &Edit)> =
            self.0.iter().enumerate().filter(|(_, edit)| within(edit)).collect();
        // What was put around something last stands outermost.
        order.sort_by_key(|(number, edit)| {
            let number = *number as isize;
            (edit.start, edit.rank, if edit.rank == Rank::Before { -number } else { number })
        });
        let mut out = String::with_capacity(end - start + 16);
        let (mut done, mut removed) = (start, None);
        for (_, edit) in order {
            if removed.is_some_and(|end| edit.start < end || edit.start == end && edit.rank == Rank::After) {
                continue;
            }
            if edit.rank == Rank::Nothing {
                removed = Some(edit.end);
            }
            out.push_str(&text[done..edit.start]);
            out.push_str(&edit.text);
            done = edit.end;
        }
        out.push_str(&text[done..end]);
        Cow::Owned(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_around_later_stands_outside() {
        let text = "a+b\nc";
        let mut edits = Edits::default();
        edits.wrap(0, "<", 1, ">");
        edits.wrap(0, "(", 3, ")");
        edits.replace("\nc", 3, "!");
        assert_eq!(edits.apply(text, 0, 5), "(<a>+b)!\n");
        assert_eq!(edits.apply(text, 2, 5), "b)!\n");
        edits.remove(1, 3);
        assert_eq!(edits.apply(text, 0, 5), "(<a>!\n");
    }
}
