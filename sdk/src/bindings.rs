//! What wit-bindgen writes from the contract in `wit/`: the types and capabilities
//! once, and for each hook the glue that exports it.
//!
//! The glue of a hook is a macro. Only a rule that has the hook expands it, and
//! only then does the hook appear in the rule's component type. So one crate can
//! hold the glue of every hook, and a rule still exports just its own.

/// Types, HTTP heads and capabilities. What a rule does not call is left out of
/// its component when it is built.
mod imports {
    wit_bindgen::generate!({
        path: "wit",
        inline: "
            package shunt:sdk;
            world capabilities {
                import shunt:rule/types@0.1.0;
                import shunt:rule/http@0.1.0;
                import shunt:rule/fault@0.1.0;
                import shunt:rule/log@0.1.0;
                import shunt:rule/clock@0.1.0;
                import shunt:rule/random@0.1.0;
                import shunt:rule/vars@0.1.0;
                import shunt:rule/table@0.1.0;
                import shunt:rule/persist@0.1.0;
                import shunt:rule/lb@0.1.0;
                import shunt:rule/sets@0.1.0;
                import shunt:rule/flag@0.1.0;
                import shunt:rule/crypto@0.1.0;
                import shunt:rule/tls@0.1.0;
                import shunt:rule/client-certificate@0.1.0;
            }
        ",
        generate_all,
        generate_unused_types: true,
        additional_derives: [PartialEq, Eq],
        disable_run_ctors_once_workaround: true,
    });
}

pub use imports::shunt::rule::{
    client_certificate, clock, crypto, fault, flag, http, lb, log, persist, random, sets, table, tls, types,
    vars,
};

/// One module per hook: its types, the trait `Guest` that the rule's adapter
/// implements, and the macro `export` that makes the adapter visible to the host.
macro_rules! hooks {
    ($($module:ident: $world:literal with { $($interface:literal: $types:tt),* };)*) => {$(
        pub mod $module {
            mod glue {
                wit_bindgen::generate!({
                    path: "wit",
                    inline: $world,
                    with: { $($interface: crate::bindings::$types),* },
                    generate_all,
                    pub_export_macro: true,
                    disable_run_ctors_once_workaround: true,
                    default_bindings_module: "shunt_sdk",
                });
            }
            pub use glue::exports::shunt::rule::$module::*;
            pub use glue::{export, exports};
        }
    )*};
}

hooks! {
    on_load: "package shunt:sdk; world on-load { export shunt:rule/on-load@0.1.0; }" with {};
    on_flow: "package shunt:sdk; world on-flow { export shunt:rule/on-flow@0.1.0; }" with {
        "shunt:rule/types@0.1.0": types
    };
    on_client_hello: "package shunt:sdk; world on-client-hello { export shunt:rule/on-client-hello@0.1.0; }" with {
        "shunt:rule/types@0.1.0": types, "shunt:rule/tls@0.1.0": tls
    };
    on_data: "package shunt:sdk; world on-data { export shunt:rule/on-data@0.1.0; }" with {
        "shunt:rule/types@0.1.0": types
    };
    on_request: "package shunt:sdk; world on-request { export shunt:rule/on-request@0.1.0; }" with {
        "shunt:rule/types@0.1.0": types, "shunt:rule/http@0.1.0": http
    };
    on_request_body: "package shunt:sdk; world on-request-body { export shunt:rule/on-request-body@0.1.0; }" with {
        "shunt:rule/types@0.1.0": types, "shunt:rule/http@0.1.0": http
    };
    on_selected: "package shunt:sdk; world on-selected { export shunt:rule/on-selected@0.1.0; }" with {
        "shunt:rule/types@0.1.0": types, "shunt:rule/http@0.1.0": http
    };
    on_connect_failed: "package shunt:sdk; world on-connect-failed { export shunt:rule/on-connect-failed@0.1.0; }" with {
        "shunt:rule/types@0.1.0": types, "shunt:rule/http@0.1.0": http
    };
    on_response: "package shunt:sdk; world on-response { export shunt:rule/on-response@0.1.0; }" with {
        "shunt:rule/types@0.1.0": types, "shunt:rule/http@0.1.0": http
    };
    on_response_body: "package shunt:sdk; world on-response-body { export shunt:rule/on-response-body@0.1.0; }" with {
        "shunt:rule/types@0.1.0": types, "shunt:rule/http@0.1.0": http
    };
    on_done: "package shunt:sdk; world on-done { export shunt:rule/on-done@0.1.0; }" with {
        "shunt:rule/types@0.1.0": types
    };
    on_probe: "package shunt:sdk; world on-probe { export shunt:rule/on-probe@0.1.0; }" with {
        "shunt:rule/types@0.1.0": types
    };
}
