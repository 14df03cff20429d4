use super::*;
use crate::{abi, builtin};

/// A component as wit-component makes it: a rule that reads the method and the version.
const COMPONENT: &str = r#"(component
    (import "shunt:rule/http@0.1.0" (instance $http
        (export "request" (type $request (sub resource)))
        (type $version (enum "http10" "http11" "http2" "http3"))
        (export "version" (type $named (eq $version)))
        (export "[method]request.method" (func (param "self" (borrow $request)) (result string)))
        (export "[method]request.path" (func (param "self" (borrow $request)) (result string)))
        (export "[method]request.version" (func (param "self" (borrow $request)) (result $named)))))
    (core module $main
        (import "shunt:rule/http@0.1.0" "[method]request.method" (func $method (param i32 i32)))
        (import "shunt:rule/http@0.1.0" "[method]request.path" (func $path (param i32 i32)))
        (import "shunt:rule/http@0.1.0" "[method]request.version" (func $version (param i32) (result i32)))
        (import "shunt:rule/http@0.1.0" "[resource-drop]request" (func $drop (param i32)))
        (memory (export "memory") 1)
        (func $start)
        ;; more
        (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) unreachable)
        (func (export "cabi_post_shunt:rule/on-request@0.1.0#on-request") (param i32))
        (func (export "shunt:rule/on-request@0.1.0#on-request") (param i32) (result i32) unreachable)
        (func (export "shunt:rule/on-request@0.1.0#other") (param i32) (result i32) unreachable))
    (core module $shim
        (type $two (func (param i32 i32)))
        (table (export "$imports") 2 2 funcref)
        (func (export "0") (type $two) local.get 0 local.get 1 i32.const 0 call_indirect (type $two))
        (func (export "1") (type $two) local.get 0 local.get 1 i32.const 1 call_indirect (type $two)))
    (core instance $shims (instantiate $shim))
    (alias core export $shims "0" (core func $shim0))
    (alias core export $shims "1" (core func $shim1))
    (alias export $http "[method]request.version" (func $version))
    (core func $lowered-version (canon lower (func $version)))
    (alias export $http "request" (type $request))
    (core func $lowered-drop (canon resource.drop $request))
    (core instance $given
        (export "[method]request.method" (func $shim0))
        (export "[method]request.path" (func $shim1))
        (export "[method]request.version" (func $lowered-version))
        (export "[resource-drop]request" (func $lowered-drop)))
    (core instance $rule (instantiate $main (with "shunt:rule/http@0.1.0" (instance $given))))
    (alias core export $rule "memory" (core memory $memory))
    (core module $filler
        (type $two (func (param i32 i32)))
        (import "actual" "0" (func $a (type $two)))
        (import "actual" "1" (func $b (type $two)))
        (import "shim" "$imports" (table 2 2 funcref))
        (elem (i32.const 0) func $a $b))
    (alias export $http "[method]request.method" (func $method))
    (alias export $http "[method]request.path" (func $path))
    (alias core export $rule "cabi_realloc" (core func $realloc))
    (core func $lowered-method (canon lower (func $method) (memory $memory) (realloc $realloc)))
    (core func $lowered-path (canon lower (func $path) (memory $memory) (realloc $realloc)))
    (core instance $actual (export "0" (func $lowered-method)) (export "1" (func $lowered-path)))
    (core instance (instantiate $filler (with "actual" (instance $actual)) (with "shim" (instance $shims))))
    (type $verdict (func (param "request" (borrow $request)) (result string)))
    (alias core export $rule "shunt:rule/on-request@0.1.0#on-request" (core func $hook))
    (alias core export $rule "shunt:rule/on-request@0.1.0#other" (core func $other))
    (alias core export $rule "cabi_post_shunt:rule/on-request@0.1.0#on-request" (core func $post))
    (func $lifted (type $verdict) (canon lift (core func $hook) (memory $memory) (post-return $post)))
    (component $wrapper
        (import "import-type-request" (type $in (sub resource)))
        (type $imported (func (param "request" (borrow $in)) (result string)))
        (import "import-func-on-request" (func $func (type $imported)))
        (export $out "request" (type $in))
        (type $exported (func (param "request" (borrow $out)) (result string)))
        (export "on-request" (func $func) (func (type $exported))))
    (instance $interface (instantiate $wrapper
        (with "import-func-on-request" (func $lifted))
        (with "import-type-request" (type $request))))
    (export "shunt:rule/on-request@0.1.0" (instance $interface)))"#;

fn read(text: &str) -> Outcome<Shape> {
    recognise(&wat::parse_str(text).unwrap_or_else(|error| panic!("{error}")), abi::newest())
}

#[test]
fn what_wit_component_makes_is_recognised() {
    let hooks = HookSet::EMPTY.with(Hook::OnRequest);
    assert_eq!(read(COMPONENT), Ok(Shape { module: 0, hooks, post_return: hooks }));
    let without = COMPONENT.replace(" (post-return $post)", "");
    assert_eq!(read(&without), Ok(Shape { module: 0, hooks, post_return: HookSet::EMPTY }));
    for name in builtin::names() {
        let shape = recognise(builtin::component(name).unwrap(), abi::newest());
        assert!(shape.is_ok_and(|shape| shape.hooks.contains(Hook::OnRequest)), "{name}");
    }
}

#[test]
fn what_only_looks_so_is_not() {
    let other_shims = "its shims are others";
    let another = "an import is another function than its name says";
    for (from, to, why) in [
        // Another function behind a name.
        ("(export \"0\" (func $lowered-method))", "(export \"0\" (func $lowered-path))", another),
        ("(elem (i32.const 0) func $a $b)", "(elem (i32.const 0) func $b $a)", another),
        (
            "(export \"[method]request.method\" (func $shim0))",
            "(export \"[method]request.method\" (func $shim1))",
            another,
        ),
        (
            "(alias export $http \"[method]request.method\" (func $method))",
            "(alias export $http \"[method]request.path\" (func $method))",
            another,
        ),
        ("(core func $hook) (memory", "(core func $other) (memory", "a hook is another function than its name says"),
        (
            "(alias core export $rule \"cabi_post_shunt:rule/on-request@0.1.0#on-request\" (core func $post))",
            "(core module $take (func (export \"take\") (param i32))) (core instance $taker (instantiate $take))
             (alias core export $taker \"take\" (core func $post))",
            "it has other modules",
        ),
        // Shims that do something else.
        ("i32.const 0 call_indirect", "i32.const 1 call_indirect", other_shims),
        ("local.get 0 local.get 1 i32.const 0", "local.get 1 local.get 0 i32.const 0", other_shims),
        ("(elem (i32.const 0) func $a $b)", "(elem (i32.const 0) func $a)", other_shims),
        ("(elem (i32.const 0) func $a $b)", "(elem (i32.const 0) func $a $b) (elem (i32.const 1) func $a)", other_shims),
        ("(elem (i32.const 0) func $a $b)", "(elem (i32.const 0) func $a $b) (func $s) (start $s)", "a module has other sections"),
        ("(table (export \"$imports\") 2 2 funcref)", "(table (export \"$imports\") 2 3 funcref)", other_shims),
        // Code that runs before the host can know of it.
        (";; more", "(start $start)", "a module has other sections"),
        // Values that are passed in another way.
        (
            "(canon lower (func $method) (memory $memory) (realloc $realloc))",
            "(canon lower (func $method) (memory $memory) (realloc $realloc) string-encoding=utf16)",
            "it passes values in another way",
        ),
        (
            "(canon lift (core func $hook) (memory $memory)",
            "(canon lift (core func $hook) (memory $memory) string-encoding=latin1+utf16",
            "it passes values in another way",
        ),
        (
            "(alias core export $rule \"cabi_realloc\" (core func $realloc))",
            "(alias core export $rule \"realloc\" (core func $realloc))",
            "it passes values in another way",
        ),
        // Other names.
        ("http@0.1.0", "http@0.2.0", "it imports something else than the contract"),
        ("shunt:rule/http@", "shunt:other/http@", "it imports something else than the contract"),
        (
            "(export \"shunt:rule/on-request@0.1.0\" (instance",
            "(export \"shunt:rule/on-other@0.1.0\" (instance",
            "it exports something else than hooks",
        ),
        (
            "(export \"on-request\" (func $func) (func (type $exported)))",
            "(export \"on-other\" (func $func) (func (type $exported)))",
            "a hook is missing",
        ),
        // More than there should be.
        ("(core instance $shims (instantiate $shim))", "(core instance $shims (instantiate $shim)) (core instance (instantiate $shim))", "a module is there more than once, or never"),
        (";; more", "(memory 1)", "the rule has not one memory of its own"),
        (";; more", "(tag)", "a module has other sections"),
        (
            "(export \"shunt:rule/on-request@0.1.0\" (instance $interface))",
            "(export \"shunt:rule/on-request@0.1.0\" (instance $interface)) (export \"main\" (core module $main))",
            "it exports something else than interfaces",
        ),
    ] {
        assert!(COMPONENT.contains(from), "{from}");
        let mut text = COMPONENT.replace(from, to);
        if to.contains("\"realloc\"") {
            text = text.replace("(func (export \"cabi_realloc\")", "(func (export \"realloc\")");
        }
        assert_eq!(read(&text), Err(Unlike(why)), "{from} -> {to}");
    }
}

#[test]
fn on_done_has_nothing_to_take_back() {
    let done = COMPONENT.replace("on-request", "on-done");
    assert_eq!(read(&done), Err(Unlike("a hook is another function than its name says")));
    let hooks = HookSet::EMPTY.with(Hook::OnDone);
    let without = done.replace(" (post-return $post)", "");
    assert_eq!(read(&without), Ok(Shape { module: 0, hooks, post_return: HookSet::EMPTY }));
}

#[test]
fn anything_else_is_something_else() {
    assert!(recognise(b"", abi::newest()).is_err());
    assert!(recognise(b"\0asm\x0d\0\x01\0", abi::newest()).is_err());
    assert!(read("(module)").is_err());
    assert!(read("(component)").is_err());
}

proptest::proptest! {
    /// Whatever is changed in such a component, reading it ends, and what is still taken for one has its hooks.
    #[test]
    fn damage_is_no_trouble(changes in proptest::collection::vec((0_usize..100_000, proptest::num::u8::ANY), 1..4)) {
        let mut bytes = builtin::component("https-redirect").unwrap().to_vec();
        for (at, byte) in changes {
            let at = at % bytes.len();
            bytes[at] = byte;
        }
        if let Ok(shape) = recognise(&bytes, abi::newest()) {
            proptest::prop_assert!(shape.hooks.contains(Hook::OnRequest));
        }
    }

    #[test]
    fn a_part_of_one_is_no_trouble(len in 0_usize..100_000) {
        let bytes = builtin::component("https-redirect").unwrap();
        let _ = recognise(&bytes[..len % bytes.len()], abi::newest());
    }
}
