//! Large counters: the original, shown a kernel's answer with these numbers in it.

use ipvs::ipvsadm::{self, Line, Names, print};
use ipvs::{
    Destination, DestinationKey, Info, ObservedDestination, ObservedService, Rates, Service, ServiceKey, Stats,
};

use super::read;

fn stats(numbers: &str) -> Stats {
    let numbers: Vec<u64> = numbers.split(',').map(|n| n.trim().parse().unwrap()).collect();
    let [connections, packets_in, packets_out, bytes_in, bytes_out, rates @ ..] = numbers.as_slice() else {
        panic!("ten numbers")
    };
    let rates = Rates {
        connections: rates[0],
        packets_in: rates[1],
        packets_out: rates[2],
        bytes_in: rates[3],
        bytes_out: rates[4],
    };
    let [connections, packets_in, packets_out, bytes_in, bytes_out] =
        [connections, packets_in, packets_out, bytes_in, bytes_out].map(|n| *n);
    Stats { connections, packets_in, packets_out, bytes_in, bytes_out, rates }
}

#[test]
fn are_shortened_as_the_original_shortens_them() {
    let names = Names::default();
    let mut count = 0;
    for step in read("counters.transcript").split("### ").skip(1) {
        let (line, expected) = step.split_once('\n').unwrap();
        let (words, numbers) = line.split_once(" # ").unwrap();
        let stats = stats(numbers);
        let words: Vec<&str> = words.split_whitespace().collect();
        let Line::List(list) = ipvsadm::read(&words, &names).unwrap() else { panic!("{line} lists") };
        let service = ObservedService {
            key: ServiceKey::tcp("10.0.0.1:80".parse().unwrap()),
            service: Service::new("rr".parse().unwrap()),
            stats,
        };
        let server = ObservedDestination {
            key: DestinationKey::new("10.1.1.1:80".parse().unwrap()),
            destination: Destination::masquerade(1),
            active: 0,
            inactive: 0,
            persistent: 0,
            stats,
        };
        let mut out = Vec::new();
        let info = Info { version: (1, 2, 1), table_size: 4096 };
        print::table(&mut out, &list, &names, &info, &[(service, vec![server])]).unwrap();
        let printed: Vec<String> = String::from_utf8(out).unwrap().lines().map(|line| format!("o|{line}")).collect();
        let expected: Vec<&str> = expected.lines().skip(1).collect();
        assert_eq!(printed, expected, "{line}");
        count += 1;
    }
    assert_eq!(count, 8);
}
