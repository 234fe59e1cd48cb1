//! `docs/configuration.md` and the code say the same.

use std::collections::BTreeMap;

use gossip_core::Config;

const TABLE: &str = include_str!("../../docs/configuration.md");

/// Fields and values of a configuration, as `Debug` prints them and in the units of the table.
fn values(config: &Config) -> BTreeMap<String, String> {
    let text = format!("{config:?}");
    let body = text.strip_prefix("Config { ").and_then(|text| text.strip_suffix(" }")).expect("a struct");
    let (mut fields, mut depth, mut start) = (Vec::new(), 0, 0);
    for (at, letter) in body.char_indices() {
        match letter {
            '{' | '(' => depth += 1,
            '}' | ')' => depth -= 1,
            ',' if depth == 0 => {
                fields.push(&body[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    fields.push(&body[start..]);
    let pair = |field: &str| {
        let (name, value) = field.trim().split_once(": ").expect("name: value");
        (name.to_owned(), plain(value))
    };
    fields.into_iter().map(pair).collect()
}

fn plain(value: &str) -> String {
    let unwrapped = value.strip_prefix("ClusterTag(").and_then(|value| value.strip_suffix(')')).unwrap_or(value);
    let number = |digits: &str, scale: f64| digits.parse::<f64>().ok().map(|span| format!("{}", span * scale));
    let span = |value: &str| match value.strip_suffix("ms") {
        Some(digits) => number(digits, 1.0),
        None => value.strip_suffix('s').and_then(|digits| number(digits, 1_000.0)),
    };
    span(unwrapped).unwrap_or_else(|| {
        let law = unwrapped.replace(" { fanout: Fixed(", " ").replace(" { fanout: ", " ");
        law.trim_end_matches(" }").trim_end_matches(')').to_owned()
    })
}

#[test]
fn every_value_has_its_row_and_the_defaults_are_those_of_the_presets() {
    let rows: Vec<Vec<&str>> = TABLE
        .lines()
        .filter(|line| line.starts_with("| `"))
        .map(|line| line.trim_matches('|').split('|').map(str::trim).collect())
        .collect();
    let presets = [Config::lan(), Config::wan(), Config::local(), Config::lab()];
    for (column, preset) in presets.iter().enumerate() {
        preset.check().expect("a preset makes sense");
        let mut values = values(preset);
        for row in &rows {
            assert_eq!(row.len(), 10, "{row:?}");
            let name = row[0].trim_matches('`');
            let value = values.remove(name).unwrap_or_else(|| panic!("there is no value {name}"));
            assert_eq!(row[3 + column], value, "{name} of preset {column}");
            assert!(!row[8].is_empty() && (!row[9].is_empty() || name == "cluster"), "{name}: what does it cost?");
        }
        assert!(values.is_empty(), "no row for {values:?}");
    }
}
