//! The floors of the datapath: its folders import from those below them, and from none above.
//!
//! Only methods of `Datapath` reach further: it is the whole, and which folders may take it is said here too.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot continue fails")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// From the ground up. Those in one row stand beside each other.
const FLOORS: [&[&str]; 10] = [
    &["model"],
    &["lookup", "driver"],
    &["snapshot"],
    &["compile"],
    &["state"],
    &["context"],
    &["end", "local"],
    &["fast"],
    &["slow"],
    &["operate", "dispatch"],
];
/// From here on functions may take the whole `Datapath`; below they take the parts that they need.
const FIRST_WITH_ALL: usize = 6;
/// What stands in `datapath/mod.rs` and belongs to no floor: numbers, and names that it exports again.
const OF_ALL: [&str; 5] = ["DEFAULT_IDLE", "DEFAULT_TCP_IDLE", "Options", "Verdict", "DropReason"];

#[test]
fn imports_run_down() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/datapath");
    let mut used = BTreeSet::new();
    let mut wrong = Vec::new();
    for file in sources(&root) {
        let inside = file.strip_prefix(&root).unwrap().with_extension("");
        let modules: Vec<&str> = inside.iter().map(|part| part.to_str().unwrap()).collect();
        if ["mod", "tests"].contains(&modules[0]) {
            continue;
        }
        let floor = floor_of(modules[0]).unwrap_or_else(|| panic!("{} is on no floor", modules[0]));
        used.insert(modules[0].to_owned());
        for path in imports(&fs::read_to_string(&file).unwrap(), &modules) {
            let allowed = match path.split("::").next().unwrap() {
                name if name == modules[0] || OF_ALL.contains(&name) => true,
                "Datapath" => floor >= FIRST_WITH_ALL,
                // Its trait, by the name under which all others know it.
                "Driver" => floor > floor_of("driver").unwrap(),
                other => floor_of(other).is_some_and(|below| below < floor),
            };
            if !allowed {
                wrong.push(format!("{} imports {path}", inside.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "imports run up, or to one side: {wrong:#?}");
    let floors: BTreeSet<String> =
        FLOORS.iter().flat_map(|it| it.iter()).map(|it| (*it).to_owned()).collect();
    assert_eq!(used, floors, "every floor is there");
}

#[test]
fn imports_are_read_however_they_are_written() {
    let text = "use super::{Choice, First};\nuse crate::datapath::state::{flow::FlowState, id};\n\
                use crate::flow::{\n    Direction,\n    FlowId,\n};\npub(super) use super::super::fast::hit;\n\
                fn f() -> crate::datapath::slow::Stage { todo!() }\n";
    assert_eq!(
        imports(text, &["slow", "insert"]),
        ["slow::Choice", "slow::First", "state::flow::FlowState", "state::id", "fast::hit", "slow::Stage"]
    );
    assert_eq!(imports("use super::Datapath;\n", &["end"]), ["Datapath"]);
    assert_eq!(imports("use super::Datapath;\n", &["slow", "mod"]), ["Datapath"]);
}

fn floor_of(module: &str) -> Option<usize> {
    FLOORS.iter().position(|floor| floor.contains(&module))
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.extension() {
            None => found.extend(sources(&path)),
            Some(kind) if kind == "rs" => found.push(path),
            Some(_) => {}
        }
    }
    found
}

/// The paths within the datapath that a module names: what it imports, and what it names in full.
fn imports(text: &str, modules: &[&str]) -> Vec<String> {
    // `super` of `slow/mod.rs` is the datapath, of `slow/insert.rs` it is `slow`.
    let own = match modules {
        [folders @ .., "mod"] => folders,
        all => all,
    };
    let mut found = Vec::new();
    let code: Vec<&str> = text.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
    let code = code.join("\n");
    for statement in code.split(';') {
        let uses = statement.rsplit_once("use ").filter(|(before, _)| {
            let visibility = before.rsplit('\n').next().unwrap().trim();
            visibility.is_empty() || visibility.starts_with("pub")
        });
        if let Some((_, tree)) = uses {
            expand("", tree, &mut |path| found.extend(within(&path, own)));
        } else {
            for named in statement.split("crate::datapath::").skip(1) {
                let end = named.find(|it: char| !(it.is_alphanumeric() || "_:".contains(it)));
                found.push(named[..end.unwrap_or(named.len())].to_owned());
            }
        }
    }
    found
}

/// Every path of a tree like `a::{b, c::{d, e}}`.
fn expand(before: &str, tree: &str, show: &mut dyn FnMut(String)) {
    let tree = tree.trim();
    let Some((prefix, list)) = tree.split_once('{') else {
        return show(format!("{before}{}", tree.split(" as ").next().unwrap().trim()));
    };
    let (mut depth, mut start) = (0, 0);
    let list = list.rsplit_once('}').unwrap().0;
    for (at, letter) in list.char_indices().chain([(list.len(), ',')]) {
        match letter {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                let item = list[start..at].trim();
                if !item.is_empty() {
                    expand(&format!("{before}{prefix}"), item, show);
                }
                start = at + 1;
            }
            _ => {}
        }
    }
}

/// A path as seen from the datapath; none if it leads elsewhere.
fn within(path: &str, own: &[&str]) -> Option<String> {
    if let Some(path) = path.strip_prefix("crate::datapath::") {
        return Some(path.to_owned());
    }
    let (mut path, mut up) = (path, 0);
    while let Some(rest) = path.strip_prefix("super::") {
        (path, up) = (rest, up + 1);
    }
    if up == 0 {
        return None;
    }
    let base = own.len().checked_sub(up)?;
    Some(own[..base].iter().copied().chain([path]).collect::<Vec<_>>().join("::"))
}
