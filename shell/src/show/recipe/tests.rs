//! Configurations (`golden/*.cfg`) and what is printed for all their real servers (`*.txt`; `UPDATE=1` writes those anew), and what holds
//! for each.

use std::path::{Path, PathBuf};

use yoke_config::tree::load;

use super::*;

fn configurations() -> Vec<(PathBuf, Config)> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/show/recipe/golden");
    let paths = std::fs::read_dir(directory).unwrap().map(|file| file.unwrap().path());
    let configurations = paths.filter(|path| path.extension().is_some_and(|ext| ext == "cfg"));
    let read = |path: PathBuf| {
        let (tree, rejected) = load(&std::fs::read_to_string(&path).unwrap());
        assert!(rejected.is_empty(), "{}: {rejected:?}", path.display());
        (path, Config::try_from(&tree).unwrap())
    };
    configurations.map(read).collect()
}

fn all(config: &Config) -> BTreeMap<IpAddr, Needs> {
    let servers = config.virtual_servers.iter();
    let real = servers.clone().flat_map(|(name, s)| s.real_servers.keys().map(|key| (name.as_str(), *key)));
    machines(config, real.chain(servers.filter_map(sorry)))
}

#[test]
fn printed() {
    let mut seen = 0;
    for (path, config) in configurations() {
        let mut got = String::new();
        for system in [System::Linux, System::FreeBsd, System::Windows] {
            for line in all(&config).values().flat_map(|needs| lines(needs, system)) {
                got = got + &line + "\n";
            }
        }
        let expected = path.with_extension("txt");
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(&expected, &got).unwrap();
        }
        assert_eq!(got, std::fs::read_to_string(&expected).unwrap(), "{}", path.display());
        for line in got.lines() {
            assert!(line.len() <= 79, "{}: wider than a terminal: {line}", path.display());
        }
        seen += 1;
    }
    assert!(seen >= 6);
}

#[test]
fn settings_come_before_addresses() {
    let mut pairs = 0;
    for (path, config) in configurations() {
        for needs in all(&config).values() {
            let commands = recipe(needs, System::Linux).commands;
            let is_setting = |command: &String| command.starts_with("sysctl") || command.starts_with("nft");
            let is_address =
                |command: &String| command.starts_with("ip address add") || command.starts_with("ip route add local");
            if let (Some(last), Some(first)) =
                (commands.iter().rposition(is_setting), commands.iter().position(is_address))
            {
                assert!(last < first, "{}: {commands:#?}", path.display());
                pairs += 1;
            }
        }
    }
    assert!(pairs > 0);
}

#[test]
fn a_continued_command_is_one_in_json() {
    let (_, config) = configurations().into_iter().find(|(path, _)| path.ends_with("tun.cfg")).unwrap();
    for needs in all(&config).values() {
        let object = object(needs, System::Linux);
        let commands = object["commands"].as_array().unwrap();
        assert!(!commands.is_empty());
        assert!(commands.iter().all(|command| !command.as_str().unwrap().contains(['\n', '\\'])), "{commands:?}");
    }
}
