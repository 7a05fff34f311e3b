//! `| include RE` and its kin: filters between a command and its output. Words and syntax are the grammar's.

use regex_lite::Regex;
use yoke_config::lex::split_pipes;
use yoke_config::walk::{self, LineError, Pipe};

use crate::out::Sink;
use crate::outcome::{Fail, Stop};

/// A line split at its pipes.
#[derive(Debug)]
pub(crate) struct Piped<'a> {
    /// What is to be run.
    pub(crate) command: &'a str,
    /// The filters, in order.
    pub(crate) pipes: Vec<Pipe>,
}

/// Why what follows a `|` means nothing.
#[derive(Debug)]
pub(crate) enum PipeError {
    /// Not a filter; the offset in the error is of the whole line.
    Line(LineError),
    /// Not a regular expression: offset in the line, and why.
    Pattern(usize, String),
}

/// Splits `line` and reads its filters.
///
/// # Errors
/// The first filter that means nothing.
pub(crate) fn split(line: &str) -> Result<Piped<'_>, PipeError> {
    let parts = split_pipes(line);
    let command = parts.first().map_or("", |(_, text)| text).trim_end();
    let mut pipes = Vec::new();
    for (start, text) in parts.iter().skip(1) {
        let pipe = walk::pipe(text).map_err(|error| PipeError::Line(shift(error, *start)))?;
        if let Some(pattern) = pattern(&pipe)
            && let Err(e) = Regex::new(pattern)
        {
            let offset = start + text.find(pattern).unwrap_or(0);
            return Err(PipeError::Pattern(offset, e.to_string()));
        }
        pipes.push(pipe);
    }
    Ok(Piped { command, pipes })
}

impl PipeError {
    /// The failure to show. `line` is the whole line.
    pub(crate) fn fail(&self, line: &str) -> Fail {
        match self {
            Self::Line(error) => crate::report::syntax(error, line),
            Self::Pattern(at, why) => Fail::invalid(*at, Some(format!("regular expression: {why}"))),
        }
    }
}

/// Offsets of a part as offsets of the line.
fn shift(mut error: LineError, by: usize) -> LineError {
    if let LineError::Invalid { offset, .. } | LineError::Ambiguous { offset, .. } | LineError::Refused { offset, .. } =
        &mut error
    {
        *offset += by;
    }
    error
}

fn pattern(pipe: &Pipe) -> Option<&str> {
    match pipe {
        Pipe::Include(re) | Pipe::Exclude(re) | Pipe::Begin(re) | Pipe::Section(re) => Some(re),
        Pipe::Count | Pipe::Json | Pipe::NoMore => None,
    }
}

/// Puts the filters before `sink`, the first of them outermost.
pub(crate) fn chain<'a>(pipes: &[Pipe], sink: Box<dyn Sink + 'a>) -> Box<dyn Sink + 'a> {
    pipes.iter().rev().fold(sink, |next, pipe| match pipe {
        Pipe::Json | Pipe::NoMore => next,
        _ => Box::new(Filter { next, kind: Kind::new(pipe), counted: 0 }),
    })
}

struct Filter<'a> {
    next: Box<dyn Sink + 'a>,
    kind: Kind,
    counted: u64,
}

enum Kind {
    Include(Regex),
    Exclude(Regex),
    Begin(Regex, bool),
    Section(Section),
    Count,
}

impl Kind {
    fn new(pipe: &Pipe) -> Self {
        // `split` has compiled it before.
        let regex = |re: &str| Regex::new(re).expect("checked when the line was split");
        match pipe {
            Pipe::Include(re) => Self::Include(regex(re)),
            Pipe::Exclude(re) => Self::Exclude(regex(re)),
            Pipe::Begin(re) => Self::Begin(regex(re), false),
            Pipe::Section(re) => Self::Section(Section { regex: regex(re), above: Vec::new(), inside: None }),
            Pipe::Count | Pipe::Json | Pipe::NoMore => Self::Count,
        }
    }
}

impl Sink for Filter<'_> {
    fn line(&mut self, line: &str) -> Result<(), Stop> {
        let passes = match &mut self.kind {
            Kind::Include(re) => re.is_match(line),
            Kind::Exclude(re) => !re.is_match(line),
            Kind::Begin(re, begun) => {
                *begun = *begun || re.is_match(line);
                *begun
            }
            Kind::Section(section) => {
                for header in section.handle(line) {
                    self.next.line(&header)?;
                }
                return Ok(());
            }
            Kind::Count => {
                self.counted += 1;
                false
            }
        };
        if passes { self.next.line(line) } else { Ok(()) }
    }

    fn finish(&mut self) -> Result<(), Stop> {
        if let Kind::Count = self.kind {
            self.next.line(&self.counted.to_string())?;
        }
        self.next.finish()
    }
}

/// A line that matches, the headers it stands under and the lines that stand under it.
struct Section {
    regex: Regex,
    /// Headers above the line now, with their indentation, and whether they were printed.
    above: Vec<(usize, String, bool)>,
    /// Indentation of the matching line whose block this is.
    inside: Option<usize>,
}

impl Section {
    fn handle(&mut self, line: &str) -> Vec<String> {
        let indent = line.len() - line.trim_start_matches(' ').len();
        while self.above.last().is_some_and(|(at, ..)| *at >= indent) {
            self.above.pop();
        }
        if self.inside.is_some_and(|at| indent <= at) {
            self.inside = None;
        }
        let matches = self.regex.is_match(line);
        let mut out = Vec::new();
        if matches && self.inside.is_none() {
            self.inside = Some(indent);
        }
        let passes = self.inside.is_some();
        if passes {
            for (_, header, printed) in self.above.iter_mut().filter(|(.., printed)| !printed) {
                out.push(header.clone());
                *printed = true;
            }
            out.push(line.to_owned());
        }
        self.above.push((indent, line.to_owned(), passes));
        out
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::rc::Rc;

    use super::*;

    #[derive(Default, Clone)]
    struct Kept(Rc<RefCell<Vec<String>>>);

    impl Sink for Kept {
        fn line(&mut self, line: &str) -> Result<(), Stop> {
            self.0.borrow_mut().push(line.to_owned());
            Ok(())
        }

        fn finish(&mut self) -> Result<(), Stop> {
            Ok(())
        }
    }

    const TEXT: &str = "interface eth0\n mtu 1600\n!\nvirtual-server www\n virtual 10.0.0.1 tcp 80\n real-server 10.0.0.2 80\n  weight 3\n real-server 10.0.0.3 80\n  drain\n!\nend";

    fn run(line: &str) -> Vec<String> {
        let piped = split(line).unwrap();
        let kept = Kept::default();
        let mut sink = chain(&piped.pipes, Box::new(kept.clone()));
        TEXT.lines().for_each(|line| sink.line(line).unwrap());
        sink.finish().unwrap();
        drop(sink);
        kept.0.take()
    }

    #[test]
    fn include_exclude_begin_and_count() {
        assert_eq!(
            run("show run | include server"),
            ["virtual-server www", " real-server 10.0.0.2 80", " real-server 10.0.0.3 80"]
        );
        assert_eq!(run("show run | exclude [a-z]"), ["!", "!"].map(str::to_owned));
        assert_eq!(run("show run | begin drain"), ["  drain", "!", "end"]);
        assert_eq!(run("show run | count"), ["11"]);
    }

    #[test]
    fn filters_are_applied_from_left_to_right() {
        assert_eq!(run("show run | i server | e real"), ["virtual-server www"]);
        assert_eq!(run("show run | begin virtual | count"), ["8"]);
        assert_eq!(run("show run | count | include 11"), ["11"]);
    }

    #[test]
    fn a_section_is_the_line_what_it_is_under_and_what_is_under_it() {
        assert_eq!(run("show run | section interface"), ["interface eth0", " mtu 1600"]);
        assert_eq!(run("show run | section 10.0.0.3"), ["virtual-server www", " real-server 10.0.0.3 80", "  drain"]);
        assert_eq!(run("show run | section server").len(), 6, "what matches inside is not printed twice");
    }

    #[test]
    fn a_quoted_bar_is_part_of_the_pattern() {
        assert_eq!(run("show run | include \"mtu|drain\""), [" mtu 1600", "  drain"]);
        assert_eq!(split("show run | include \"a|b\" | count").unwrap().pipes.len(), 2);
    }

    #[test]
    fn wrong_filters_point_at_their_place_in_the_line() {
        let line = "show run | incl";
        assert!(matches!(split(line), Err(PipeError::Line(LineError::Incomplete { .. }))));
        let line = "show run | grep x";
        let Err(PipeError::Line(error)) = split(line) else { panic!("grep is no filter") };
        assert_eq!(error.offset(line), 11);
        let line = "show run | include [";
        assert!(matches!(split(line), Err(PipeError::Pattern(19, _))), "{:?}", split(line));
    }
}
