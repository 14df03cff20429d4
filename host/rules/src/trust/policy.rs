//! What the operator demands of packs, and whether one of them is so.

use std::fmt;

use super::{Pattern, Source};
use crate::artefact::{Artefact, PublicKey, Validity};
use crate::{Digest, Grants, Pack};

/// What is demanded of the packs that a pattern matches.
#[derive(Clone, Debug)]
pub struct Policy {
    pub pattern: Pattern,
    /// Where it is written, for a refusal: `shunt.toml:12`.
    pub place: String,
    pub signers: Signers,
    /// The most that a pack may ask for; `None`: whatever it asks for.
    pub grants: Option<Grants>,
}

/// Who must have signed.
#[derive(Clone, Debug)]
pub enum Signers {
    Nobody,
    /// So many of these. At least one.
    Of {
        keys: Vec<(String, PublicKey)>,
        threshold: usize,
    },
}

/// A key that signed, by the file that it was read from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signer {
    pub file: String,
    pub key: Digest,
}

/// What is known of a pack that may run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Judgement {
    /// The pattern of the policy that decided; `None`: none was needed.
    pub policy: Option<String>,
    /// Those of the policy's keys that signed it.
    pub signers: Vec<Signer>,
}

/// Why a pack may not run here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustError {
    source: String,
    /// Pattern and place of the policy that decides.
    policy: Option<(String, String)>,
    pub problems: Vec<TrustProblem>,
}

/// Something that keeps a pack from running.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TrustProblem {
    /// No policy is for it.
    NoPolicy { known: Vec<String> },
    /// It is no pack file, and nothing else has signatures.
    Unsigned,
    /// Fewer keys signed it than must.
    Signatures { valid: usize, threshold: usize, keys: Vec<(String, KeyState)> },
    /// It asks for more than the policy grants: a line each.
    Grants { excess: Vec<String> },
}

/// What a key of a policy did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyState {
    Signed,
    NotSigned,
    /// Its signature is of another pack, or was changed.
    Invalid,
}

/// In the order in which they are asked.
#[derive(Clone, Debug, Default)]
pub struct Policies(pub Vec<Policy>);

impl Policies {
    /// Whether a pack from there may run here. `artefact`: the pack file that it was in, if it was in one.
    ///
    /// # Errors
    /// Everything that keeps it from that.
    pub fn judge(
        &self,
        source: &Source,
        pack: &Pack,
        artefact: Option<&Artefact>,
    ) -> Result<Judgement, TrustError> {
        if matches!(source, Source::BuiltIn(_)) || (self.0.is_empty() && !source.is_elsewhere()) {
            return Ok(Judgement::default());
        }
        let refuse = |policy: Option<&Policy>, problems| {
            let policy = policy.map(|it| (it.pattern.as_str().to_owned(), it.place.clone()));
            Err(TrustError { source: source.to_string(), policy, problems })
        };
        let Some(policy) = self.0.iter().find(|policy| policy.pattern.matches(source)) else {
            let known = self.0.iter().map(|policy| policy.pattern.as_str().to_owned()).collect();
            return refuse(None, vec![TrustProblem::NoPolicy { known }]);
        };
        let mut problems = Vec::new();
        let signers = policy.signers.of(artefact).unwrap_or_else(|problem| {
            problems.push(problem);
            Vec::new()
        });
        if let Some(granted) = &policy.grants {
            let excess = pack.manifest().grants.beyond(granted);
            if !excess.is_empty() {
                let excess = excess.iter().map(ToString::to_string).collect();
                problems.push(TrustProblem::Grants { excess });
            }
        }
        if !problems.is_empty() {
            return refuse(Some(policy), problems);
        }
        Ok(Judgement { policy: Some(policy.pattern.as_str().to_owned()), signers })
    }
}

impl Signers {
    /// Those who signed, if they are enough.
    fn of(&self, artefact: Option<&Artefact>) -> Result<Vec<Signer>, TrustProblem> {
        let Signers::Of { keys, threshold } = self else { return Ok(Vec::new()) };
        let artefact = artefact.ok_or(TrustProblem::Unsigned)?;
        let states: Vec<KeyState> = keys.iter().map(|(_, key)| KeyState::of(artefact, key)).collect();
        let signed = keys.iter().zip(&states).filter(|(_, state)| **state == KeyState::Signed);
        let signers: Vec<Signer> =
            signed.map(|((file, key), _)| Signer { file: file.clone(), key: key.id() }).collect();
        if signers.len() >= *threshold {
            return Ok(signers);
        }
        let keys = keys.iter().map(|(file, _)| file.clone()).zip(states).collect();
        Err(TrustProblem::Signatures { valid: signers.len(), threshold: *threshold, keys })
    }
}

impl KeyState {
    fn of(artefact: &Artefact, key: &PublicKey) -> KeyState {
        match artefact.signed_by(key) {
            Validity::Valid => KeyState::Signed,
            Validity::Invalid => KeyState::Invalid,
            Validity::UnknownKey => KeyState::NotSigned,
        }
    }
}

impl std::error::Error for TrustError {}

/// What is refused and by which policy, then a line for each reason.
impl fmt::Display for TrustError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.policy {
            Some((pattern, place)) => write!(f, "policy {pattern:?} ({place}) refuses {}", self.source)?,
            None => write!(f, "no policy allows {}", self.source)?,
        }
        self.problems.iter().try_for_each(|problem| write!(f, "\n  {problem}"))
    }
}

impl fmt::Display for TrustProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TrustProblem::NoPolicy { known } if known.is_empty() => {
                f.write_str("packs of registries need one: add a [[pack-policy]] with its `match` and `keys`")
            }
            TrustProblem::NoPolicy { known } => {
                write!(f, "the policies are for {}; add one, or use a pack of these", known.join(", "))
            }
            TrustProblem::Unsigned => {
                f.write_str("it must be signed, and only pack files are: use what `shunt pack sign` wrote, or a policy with `unsigned = true`")
            }
            TrustProblem::Signatures { valid, threshold, keys } => {
                write!(f, "{threshold} of {} keys must have signed it, and {valid} did; get it signed by its authors", keys.len())?;
                keys.iter().try_for_each(|(file, state)| {
                    let state = match state {
                        KeyState::Signed => "signed",
                        KeyState::NotSigned => "has not signed",
                        KeyState::Invalid => "its signature is not of this pack, or was changed",
                    };
                    write!(f, "\n    {file}: {state}")
                })
            }
            TrustProblem::Grants { excess } => {
                f.write_str("it asks for more than the policy grants; add it to `grants`, or use a pack that needs less")?;
                excess.iter().try_for_each(|excess| write!(f, "\n    {excess}"))
            }
        }
    }
}
