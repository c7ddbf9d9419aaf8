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
        Keep = "keep", "Publish them with their images";
        Drop = "drop", "Omit them";
    }
    CheckLevel {
        None = "none", "Nothing";
        Manifests = "manifests", "Every manifest exists and matches its descriptor";
        Blobs = "blobs", "Every config and layer exists too";
        Binaries = "binaries", "The programs in the layers match the platforms of the images too";
    }
    IfExists {
        Replace = "replace", "Move the tags to the new index";
        Keep = "keep", "Do not move the tags";
        Refuse = "refuse", "Fail before any tag is moved";
    }
    ManifestAnnotations {
        Index = "index", "Set them on the index, with a notice";
        Ignore = "ignore", "Omit them";
        Error = "error", "Refuse them";
    }
    MediaTypeChoice {
        Auto = "auto", "A Docker manifest list if all images have Docker's types, otherwise an OCI index";
        Oci = "oci", "An OCI index";
        Docker = "docker", "A Docker manifest list";
    }
    OnDuplicate {
        Error = "error", "Refuse them";
        Replace = "replace", "Keep only the later one";
        Keep = "keep", "Keep both";
    }
}
