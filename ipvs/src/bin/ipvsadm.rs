//! ipvsadm: the words, listings, refusals and exit statuses of ipvsadm 1.31, on the `ipvs` crate.
//!
//! A drop-in: where scripts, init files and people use the original, this can stand in its place. What is the same was found by running the
//! original in a virtual machine; its output is kept in `tests/ipvsadm` and compared byte by byte.
//!
//! What it is made of, and where it differs on purpose, is in [`ipvs::ipvsadm`]; here are the process's arguments, streams and exit status.

use std::io::{self, BufWriter, ErrorKind, Write};
use std::path::Path;
use std::process::ExitCode;

use ipvs::ipvsadm::{self, Failure, HELP, Io, Line, Names, failed, version};
use ipvs::{Client, Error, Refusal};

fn main() -> ExitCode {
    let mut words = std::env::args_os().map(|word| word.to_string_lossy().into_owned());
    let name = words.next().unwrap_or_default();
    let arguments: Vec<String> = command(&name).into_iter().map(str::to_owned).chain(words).collect();
    let names = Names::load();
    let mut out = BufWriter::new(io::stdout().lock());
    let mut err = io::stderr().lock();
    let mut input = io::stdin().lock();
    let mut io = Io {
        input: &mut input,
        out: &mut out,
        err: &mut err,
        names: &names,
        connections: Path::new("/proc/net/ip_vs_conn"),
    };
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = done(&arguments, &mut io);
    let flushed = out.flush().map_err(Failure::Io);
    match done.and(flushed) {
        Ok(()) => ExitCode::SUCCESS,
        // Who reads has had enough.
        Err(Failure::Io(error)) if error.kind() == ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(failure) => {
            // Nobody is left to tell when this fails.
            let _ = writeln!(err, "{failure}");
            ExitCode::from(failure.status())
        }
    }
}

/// What its name says already: the original comes with two scripts, each a line of it.
fn command(name: &str) -> Option<&'static str> {
    match Path::new(name).file_name()?.to_str()? {
        "ipvsadm-save" => Some("-S"),
        "ipvsadm-restore" => Some("-R"),
        _ => None,
    }
}

fn done(arguments: &[&str], io: &mut Io<'_>) -> Result<(), Failure> {
    let line = ipvsadm::read(arguments, io.names)?;
    let mut client = match open() {
        Ok(client) => client,
        Err(_) if line == Line::Help => return Ok(write!(io.out, "{}", HELP)?),
        Err(_) if line == Line::Version => return Ok(writeln!(io.out, "{}", version(None))?),
        Err(failure) => return Err(failure),
    };
    ipvsadm::run(&mut client, io, &line)
}

/// Opens the kernel and asks it something, which tells whether it lets us.
fn open() -> Result<Client, Failure> {
    let mut client = Client::open().map_err(|error| failed(&error))?;
    match client.info() {
        Ok(_) => Ok(client),
        Err(error @ Error::Refused { refusal: Refusal::NotPermitted, .. }) => {
            Err(Failure::NoKernel(failed(&error).to_string()))
        }
        Err(error) => Err(failed(&error)),
    }
}
