//! The kernel command line: what the boot loader tells us, and the module options an operator may add there.
//!
//! Pure text. Reading `/proc/cmdline` is the caller's.

/// The words of a kernel command line.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Cmdline(Vec<(String, Option<String>)>);

impl Cmdline {
    /// Cuts `text` into words as the kernel does: at spaces, double quotes protect spaces and are dropped.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let mut words = Vec::new();
        let mut word = String::new();
        let mut quoted = false;
        for c in text.chars().chain([' ']) {
            match c {
                '"' => quoted = !quoted,
                c if c.is_ascii_whitespace() && !quoted => {
                    if !word.is_empty() {
                        words.push(match word.split_once('=') {
                            Some((key, value)) => (key.to_owned(), Some(value.to_owned())),
                            None => (std::mem::take(&mut word), None),
                        });
                        word.clear();
                    }
                }
                c => word.push(c),
            }
        }
        Self(words)
    }

    /// The value of `key=value`; the last one counts.
    #[must_use]
    pub fn value(&self, key: &str) -> Option<&str> {
        self.0.iter().rev().find(|(k, v)| k == key && v.is_some()).and_then(|(_, v)| v.as_deref())
    }

    /// Whether `key` stands there, with or without a value.
    #[must_use]
    pub fn has(&self, key: &str) -> bool {
        self.0.iter().any(|(k, _)| k == key)
    }

    /// Terminals of `console=`, in order, without their speed: `ttyS0,115200n8` gives `ttyS0`.
    pub fn consoles(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter(|(key, _)| key == "console").filter_map(|(_, value)| value.as_deref()?.split(',').next())
    }

    /// Options of a module as finit_module(2) wants them: every `NAME.param[=value]` word. In module names `-` is `_`.
    #[must_use]
    pub fn module_options(&self, module: &str) -> Vec<String> {
        let of_module = |key: &str| {
            let (name, parameter) = key.split_once('.')?;
            (name.replace('-', "_") == module.replace('-', "_")).then(|| parameter.to_owned())
        };
        self.0
            .iter()
            .filter_map(|(key, value)| {
                let parameter = of_module(key)?;
                Some(match value {
                    Some(value) if value.contains(' ') => format!("{parameter}=\"{value}\""),
                    Some(value) => format!("{parameter}={value}"),
                    None => parameter,
                })
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_values_and_flags() {
        let line = Cmdline::parse(
            "BOOT_IMAGE=(hd0,gpt3)/boot/vmlinuz console=tty0 console=ttyS0,115200 yoke.slot=a yoke.slot=b yoke.recover quiet\n",
        );
        assert_eq!(line.value("yoke.slot"), Some("b"));
        assert!(line.has("yoke.recover") && line.has("quiet") && !line.has("yoke"));
        assert_eq!(line.value("quiet"), None);
        assert_eq!(line.consoles().collect::<Vec<_>>(), ["tty0", "ttyS0"]);
    }

    #[test]
    fn module_options_keep_their_order_and_quotes() {
        let line = Cmdline::parse(r#"ip_vs.conn_tab_bits=20 ip-vs.x="a b" bonding.max_bonds=0 ip_vs.flag yoke.slot=a"#);
        assert_eq!(line.module_options("ip_vs"), ["conn_tab_bits=20", "x=\"a b\"", "flag"]);
        assert_eq!(line.module_options("ip_vs_rr"), Vec::<String>::new());
    }
}
