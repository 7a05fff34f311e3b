//! QEMU's own control channel (QMP): pull a cable, let a paused machine go on.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

/// QEMU answers at once; it may be busy emulating.
const ANSWER_LIMIT: Duration = Duration::from_secs(20);

/// A connection that has shaken hands.
#[derive(Debug)]
pub struct Qmp {
    reader: BufReader<UnixStream>,
}

impl Qmp {
    /// Takes over the connection QEMU has made.
    ///
    /// # Errors
    /// When the other side does not speak QMP.
    pub fn new(stream: UnixStream) -> Result<Self> {
        stream.set_read_timeout(Some(ANSWER_LIMIT))?;
        let mut qmp = Self { reader: BufReader::new(stream) };
        let greeting = qmp.read()?;
        ensure!(greeting.get("QMP").is_some(), "QMP greets with {greeting}");
        qmp.call("qmp_capabilities", &json!({}))?;
        Ok(qmp)
    }

    /// Executes `command`.
    ///
    /// # Errors
    /// QEMU's refusal.
    pub fn call(&mut self, command: &str, arguments: &Value) -> Result<Value> {
        let request = json!({ "execute": command, "arguments": arguments });
        writeln!(self.reader.get_mut(), "{request}").context("QMP")?;
        loop {
            let mut answer = self.read()?;
            ensure!(answer.get("error").is_none(), "QMP {command}: {answer}");
            // Events come in between.
            if let Some(value) = answer.get_mut("return") {
                return Ok(value.take());
            }
        }
    }

    fn read(&mut self) -> Result<Value> {
        let mut line = String::new();
        self.reader.read_line(&mut line).context("QMP")?;
        serde_json::from_str(&line).with_context(|| format!("QMP says {line:?}"))
    }
}
