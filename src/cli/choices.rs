//! The values of options that choose between alternatives, with their help.

use clap::ValueEnum;
use clap::builder::PossibleValue;

use crate::check::CheckLevel;
use crate::ops::IfExists;
use crate::plan::{Attestations, ManifestAnnotations, MediaTypeChoice, OnDuplicate};
use crate::registry::Access;

macro_rules! choices {
    ($($type:ident { $($variant:ident = $name:literal $(, $help:literal)?;)* })*) => {$(
        impl ValueEnum for $type {
            fn value_variants<'a>() -> &'a [Self] {
                &[$(Self::$variant),*]
            }

            #[allow(unreachable_patterns, reason = "a variant may have no value")]
            fn to_possible_value(&self) -> Option<PossibleValue> {
                match self {
                    $(Self::$variant => Some(PossibleValue::new($name)$(.help($help))?),)*
                    _ => None,
                }
            }
        }
    )*};
}

choices! {
    Access {
        Pull = "pull";
        Push = "push";
    }
    Attestations {
        Keep = "keep", "Keep them with their images";
        Drop = "drop", "Publish none";
    }
    CheckLevel {
        None = "none", "Nothing";
        Manifests = "manifests", "Every manifest exists and matches its descriptor";
        Blobs = "blobs", "Every config and layer exists too";
        Binaries = "binaries", "The programs in the layers are for the platforms of the images too";
    }
    IfExists {
        Replace = "replace", "Move them";
        Keep = "keep", "Leave them as they are";
        Refuse = "refuse", "Refuse the run before anything is pushed";
    }
    ManifestAnnotations {
        Index = "index", "Put them on the index, with a notice";
        Ignore = "ignore", "Leave them out";
        Error = "error", "Refuse them";
    }
    MediaTypeChoice {
        Auto = "auto", "A Docker list if all images are Docker's, else an OCI index";
        Oci = "oci", "An OCI index";
        Docker = "docker", "A Docker manifest list";
    }
    OnDuplicate {
        Error = "error", "Refuse them";
        Replace = "replace", "Keep the later one";
        Keep = "keep", "Keep both";
    }
}
