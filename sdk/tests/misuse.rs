//! What an author sees who writes a rule that is none.

#[test]
fn mistakes_are_explained_where_they_are_made() {
    trybuild::TestCases::new().compile_fail("tests/misuse/*.rs");
}
