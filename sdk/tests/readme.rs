//! The README has the example of the documentation, which is compiled there.

#[test]
fn the_readme_shows_the_example_of_the_documentation() {
    let readme = include_str!("../README.md");
    let example = readme.split("```rust\n").nth(1).unwrap().split("```").next().unwrap();
    let source = include_str!("../src/lib.rs");
    let documented: String = source
        .lines()
        .map_while(|line| line.strip_prefix("//!"))
        .map(|line| line.strip_prefix(' ').unwrap_or(line))
        .flat_map(|line| [line, "\n"])
        .collect();
    assert!(documented.contains(example), "{example}");
}
