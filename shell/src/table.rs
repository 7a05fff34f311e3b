//! Tables of at most 79 columns: what is too long is cut with `~`, numbers stand right. Text in, lines out.

/// Terminals of 80 columns wrap after the last one.
const WIDTH: usize = 79;

/// A column.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Column {
    title: &'static str,
    right: bool,
    /// Least width, for a steady picture.
    min: usize,
    /// Narrower than this it is not cut when the table is too wide; 0: it is never cut.
    cut: usize,
}

/// A column of text that is never cut.
pub(crate) const fn left(title: &'static str, min: usize) -> Column {
    Column { title, right: false, min, cut: 0 }
}

/// A column of text that gives way, down to `cut` characters, when the table is too wide.
pub(crate) const fn long(title: &'static str, min: usize, cut: usize) -> Column {
    Column { title, right: false, min, cut }
}

/// A column of numbers.
pub(crate) const fn right(title: &'static str, min: usize) -> Column {
    Column { title, right: true, min, cut: 0 }
}

/// Draws a table: its titles, then its rows. Rows have as many cells as there are columns.
pub(crate) fn draw(columns: &[Column], rows: &[Vec<String>]) -> Vec<String> {
    let widths = fit(columns, rows);
    let titles: Vec<String> = columns.iter().map(|column| column.title.to_owned()).collect();
    std::iter::once(&titles).chain(rows).map(|cells| line(columns, &widths, cells)).collect()
}

/// `name: value` lines with the values in one column. What has no value is left out.
pub(crate) fn pairs(pairs: &[(&str, String)]) -> Vec<String> {
    let width = pairs.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let said = pairs.iter().filter(|(_, value)| !value.is_empty());
    said.map(|(name, value)| format!("{name:width$} : {value}").trim_end().to_owned()).collect()
}

fn fit(columns: &[Column], rows: &[Vec<String>]) -> Vec<usize> {
    let natural = |at: usize, column: &Column| {
        let cells = rows.iter().filter_map(|row| row.get(at)).map(|cell| cell.chars().count());
        cells.chain([column.title.len(), column.min]).max().unwrap_or(0)
    };
    let mut widths: Vec<usize> = columns.iter().enumerate().map(|(at, column)| natural(at, column)).collect();
    let gaps = columns.len().saturating_sub(1);
    let mut over = (widths.iter().sum::<usize>() + gaps).saturating_sub(WIDTH);
    while over > 0 {
        // The widest that can still give way gives one.
        let give = (0..columns.len())
            .filter(|&at| columns[at].cut > 0 && widths[at] > columns[at].cut.max(columns[at].title.len()))
            .max_by_key(|&at| widths[at]);
        let Some(at) = give else { break };
        widths[at] -= 1;
        over -= 1;
    }
    widths
}

fn line(columns: &[Column], widths: &[usize], cells: &[String]) -> String {
    let mut out = String::new();
    for ((column, &width), cell) in columns.iter().zip(widths).zip(cells) {
        let cell = cut(cell, width);
        if !out.is_empty() {
            out.push(' ');
        }
        out.push_str(&if column.right { format!("{cell:>width$}") } else { format!("{cell:width$}") });
    }
    out.trim_end().to_owned()
}

fn cut(cell: &str, width: usize) -> String {
    if cell.chars().count() <= width {
        return cell.to_owned();
    }
    let mut kept: String = cell.chars().take(width.saturating_sub(1)).collect();
    kept.push('~');
    kept
}

/// A number with a unit that keeps it within six characters: `999999`, `1234k`, `56.7M`.
pub(crate) fn short(number: u64) -> String {
    if number < 1_000_000 {
        return number.to_string();
    }
    let units = ["k", "M", "G", "T", "P", "E"];
    let mut scaled = u128::from(number) * 10;
    for unit in units {
        scaled /= 1000;
        if scaled < 1_000 {
            return format!("{}.{}{unit}", scaled / 10, scaled % 10);
        }
        if scaled < 100_000 {
            return format!("{}{unit}", scaled / 10);
        }
    }
    number.to_string()
}

/// Seconds as `2w3d`, `3d04h`, or `h:mm:ss`.
pub(crate) fn duration(seconds: u64) -> String {
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    match days {
        0 => format!("{hours}:{minutes:02}:{:02}", seconds % 60),
        1..=13 => format!("{days}d{hours:02}h"),
        _ => format!("{}w{}d", days / 7, days % 7),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cells(cells: &[&str]) -> Vec<String> {
        cells.iter().map(|cell| (*cell).to_owned()).collect()
    }

    #[test]
    fn the_table_of_the_contract() {
        let columns = [
            long("Name", 5, 8),
            long("Virtual", 21, 16),
            left("Sched", 5),
            left("Mode", 4),
            left("State", 5),
            right("Up/All", 6),
            right("Conns", 7),
            right("Cps", 6),
        ];
        let drawn = draw(&columns, &[cells(&["www", "203.0.113.10 tcp 80", "wlc", "nat", "up", "2/2", "0", "0"])]);
        assert_eq!(
            drawn,
            [
                "Name  Virtual               Sched Mode State Up/All   Conns    Cps",
                "www   203.0.113.10 tcp 80   wlc   nat  up       2/2       0      0",
            ]
        );
    }

    #[test]
    fn a_table_never_passes_column_79() {
        let columns = [long("Name", 5, 8), long("Text", 5, 10), right("Number", 6)];
        let rows = [cells(&[&"n".repeat(63), &"t".repeat(100), "12345678"]), cells(&["a", "b", "1"])];
        let drawn = draw(&columns, &rows);
        assert!(drawn.iter().all(|line| line.len() <= 79), "{drawn:?}");
        assert_eq!(drawn[1].len(), 79);
        assert_eq!(drawn[1].matches('~').count(), 2);
        assert!(drawn[1].ends_with(" 12345678"));
    }

    #[test]
    fn numbers_stay_within_six_characters() {
        for n in [0, 999_999, 1_000_000, 9_999_999, 10_000_000, 999_999_999, 1_000_000_000, 123_456_789_012, u64::MAX] {
            assert!(short(n).len() <= 6, "{n} is {}", short(n));
        }
        assert_eq!(short(1_000_000), "1000k");
        assert_eq!(short(56_700_000), "56.7M");
        assert_eq!(duration(72), "0:01:12");
        assert_eq!(duration(2 * 86_400 + 4 * 3_600), "2d04h");
        assert_eq!(duration(15 * 86_400), "2w1d");
    }
}
