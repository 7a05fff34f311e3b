//! Where output goes: lines through filters and the pager to standard output.
//!
//! Every command writes lines to an [`Out`] and gives up when it says so. Nothing here panics when the other end is gone.

use std::io::{self, Write};

use serde::Serialize;

use crate::outcome::{Fail, Stop};
use crate::{interrupt, tty};

/// Something lines go into.
pub(crate) trait Sink {
    /// Takes one line, without its end.
    ///
    /// # Errors
    /// When no more is wanted.
    fn line(&mut self, line: &str) -> Result<(), Stop>;

    /// Takes the end of the output.
    ///
    /// # Errors
    /// When no more is wanted.
    fn finish(&mut self) -> Result<(), Stop>;
}

/// Standard output itself.
#[derive(Debug)]
pub(crate) struct Stdout {
    out: io::BufWriter<io::Stdout>,
    /// On a terminal a line is seen when it is written; otherwise blocks are cheaper.
    flush_lines: bool,
}

impl Stdout {
    /// `live`: each line is to be seen at once.
    pub(crate) fn new(live: bool) -> Self {
        Self { out: io::BufWriter::new(io::stdout()), flush_lines: live }
    }
}

impl Sink for Stdout {
    fn line(&mut self, line: &str) -> Result<(), Stop> {
        let write = self.out.write_all(line.as_bytes()).and_then(|()| self.out.write_all(b"\n"));
        let write = if self.flush_lines { write.and_then(|()| self.out.flush()) } else { write };
        // A pipe that is closed or a terminal that hung up: nobody is left to be told.
        write.map_err(|_| Stop::Enough)
    }

    fn finish(&mut self) -> Result<(), Stop> {
        self.out.flush().map_err(|_| Stop::Enough)
    }
}

/// What a command writes to.
pub(crate) struct Out<'a> {
    sink: Box<dyn Sink + 'a>,
    json: bool,
}

impl<'a> Out<'a> {
    /// `json`: the operator asked for `| json`.
    pub(crate) fn new(sink: Box<dyn Sink + 'a>, json: bool) -> Self {
        Self { sink, json }
    }

    /// Whether data is wanted as JSON instead of text.
    pub(crate) fn is_json(&self) -> bool {
        self.json
    }

    /// Writes text of one or several lines.
    ///
    /// # Errors
    /// When no more is wanted: Ctrl-C, `q`, or nobody reads.
    pub(crate) fn text(&mut self, text: &str) -> Result<(), Stop> {
        for line in text.split('\n') {
            if interrupt::pending() {
                return Err(Stop::Interrupted);
            }
            self.sink.line(&tty::harmless(line.trim_end_matches('\r')))?;
        }
        Ok(())
    }

    /// Writes the one JSON object of a command: `value`'s members behind `"schema":1`.
    ///
    /// # Errors
    /// As [`Out::text`].
    pub(crate) fn object<T: Serialize>(&mut self, name: &str, value: &T) -> Result<(), Fail> {
        let mut object = serde_json::Map::new();
        object.insert("schema".to_owned(), 1.into());
        let value = serde_json::to_value(value).map_err(|e| Fail::failed(format!("json: {e}")))?;
        object.insert(name.to_owned(), value);
        Ok(self.text(&serde_json::Value::Object(object).to_string())?)
    }

    /// As [`Out::object`], for a value that is an object itself.
    ///
    /// # Errors
    /// As [`Out::text`].
    pub(crate) fn members(&mut self, mut value: serde_json::Value) -> Result<(), Fail> {
        value["schema"] = 1.into();
        Ok(self.text(&value.to_string())?)
    }

    /// Ends the output.
    ///
    /// # Errors
    /// As [`Out::text`].
    pub(crate) fn finish(mut self) -> Result<(), Stop> {
        self.sink.finish()
    }
}
