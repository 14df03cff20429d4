//! The shapes of what says where packs come from.

use std::path::Path;

use shunt_rules::Grants;
use shunt_rules::artefact::reference::is_reference;
use shunt_rules::artefact::{Reference, ReferenceError};
use shunt_rules::trust::{Pattern, Source};
use toml::de::DeValue;

use super::containers::Settings;
use super::reference::Type;
use super::report::{Cause, Refusal};
use super::shape::{Shape, wrong_type};
use super::suggest::quoted;
use super::text;
use super::walk::{At, NamedFile, Walk};

/// A rule pack: a path, which starts from the folder of the file where it is relative, a reference to one in a registry, or
/// one that comes with Shunt.
pub(super) struct Pack;

impl Shape for Pack {
    type Value = Source;

    fn describe(&self) -> Type {
        let what = "the path of a pack's folder or file, a reference to a pack in a registry, or `builtin:` and the name of a \
                    pack that comes with Shunt";
        Type::Text { what, pattern: Some("^.") }
    }

    fn read(&self, at: At<'_>, walk: &mut Walk) -> Option<Source> {
        let DeValue::String(written) = at.value else {
            wrong_type(&at, &self.describe(), walk);
            return None;
        };
        if is_reference(written) || written.contains("://") {
            let read = Reference::parse(written).and_then(Reference::versioned);
            let refused = |error: ReferenceError| {
                let message = format!("{} is no reference to a pack", quoted(written));
                walk.refuse_at(&at, Refusal::new(Cause::BadValue, message).help(error.to_string()));
            };
            return read.map(Source::Registry).map_err(refused).ok();
        }
        if let Err(refusal) = text::pack(written) {
            walk.refuse_at(&at, refusal);
            return None;
        }
        if let Source::BuiltIn(name) = Source::of_path(Path::new(written.as_ref())) {
            return Some(Source::BuiltIn(name));
        }
        let path = walk.folder.join(written.as_ref());
        // What names no version is a path, and may be meant as a reference.
        let help_if_missing = Reference::parse(written).ok().map(|it| {
            format!("fix the path; or, if it is in a registry, add a tag or a digest, as in {it}:1.2.0")
        });
        walk.files.push(NamedFile {
            path: path.clone(),
            may_be_folder: true,
            help_if_missing,
            place: at.place,
            key: at.key,
        });
        Some(Source::Path(path))
    }
}

/// What a pack may ask for, in the form of `[capabilities]` of its `pack.toml`.
pub(super) struct Capabilities;

impl Shape for Capabilities {
    type Value = Grants;

    fn describe(&self) -> Type {
        Type::Any
    }

    fn read(&self, at: At<'_>, walk: &mut Walk) -> Option<Grants> {
        let here = At { value: at.value, place: at.place.clone(), key: at.key.clone() };
        let written = Settings.read(at, walk)?;
        match serde_json::from_value(written) {
            Ok(grants) => Some(grants),
            Err(error) => {
                let refusal = Refusal::new(Cause::BadValue, error.to_string())
                    .help("write it as `[capabilities]` of pack.toml is written; `shunt pack inspect` shows what a pack asks for");
                walk.refuse_at(&here, refusal);
                None
            }
        }
    }
}

/// Which packs a policy is for.
pub(super) struct Packs;

impl Shape for Packs {
    type Value = Pattern;

    fn describe(&self) -> Type {
        let what = "a repository such as `registry.example/team/canary`, a path such as `./packs/canary`, either with `/*` at \
                    the end, or `*`";
        Type::Text { what, pattern: Some("^.") }
    }

    fn read(&self, at: At<'_>, walk: &mut Walk) -> Option<Pattern> {
        let DeValue::String(written) = at.value else {
            wrong_type(&at, &self.describe(), walk);
            return None;
        };
        // Rules may be loaded from another folder than the one that Shunt was started in.
        let folder = std::path::absolute(walk.folder.join(".")).unwrap_or_else(|_| walk.folder.clone());
        match Pattern::parse(written, &folder) {
            Ok(pattern) => {
                if let Some(first) = walk.seen.patterns.insert(written.to_string(), &at.place) {
                    let message = format!("there is already a policy for {}", quoted(written));
                    let refusal = Refusal::new(Cause::Duplicate, message)
                        .label("never asked")
                        .also(first, "this one decides")
                        .help("keep one of them");
                    walk.refuse(&at.place, Some(&at.key), refusal);
                }
                Some(pattern)
            }
            Err(error) => {
                let message = format!("{} matches no packs", quoted(written));
                walk.refuse_at(&at, Refusal::new(Cause::BadValue, message).help(error.to_string()));
                None
            }
        }
    }
}
