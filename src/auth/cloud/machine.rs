//! Detects the cloud that this machine runs in from its firmware tables. Metadata services are used only if a cloud was
//! detected.

use std::path::Path;

/// The directory in which Linux shows the firmware tables.
const DMI: &str = "/sys/class/dmi/id";

/// The asset tag of every virtual machine of Azure.
/// <https://github.com/canonical/cloud-init/blob/main/cloudinit/sources/azure/identity.py>
const AZURE_TAG: &str = "7783-7084-3265-9085-8269-3286-77";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Machine {
    Aws,
    Google,
    Azure,
    Other,
}

impl Machine {
    pub(super) fn current() -> Self {
        Self::of(Path::new(DMI))
    }

    fn of(directory: &Path) -> Self {
        let read = |name| std::fs::read_to_string(directory.join(name)).unwrap_or_default();
        if read("chassis_asset_tag").trim() == AZURE_TAG {
            Self::Azure
        } else if read("sys_vendor").starts_with("Amazon EC2")
            || read("bios_version").contains("amazon")
        {
            Self::Aws
        } else if read("product_name").starts_with("Google") {
            Self::Google
        } else {
            Self::Other
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn firmware_names_the_cloud() {
        for (file, text, machine) in [
            ("sys_vendor", "Amazon EC2\n", Machine::Aws),
            ("bios_version", "4.11.amazon\n", Machine::Aws),
            ("product_name", "Google Compute Engine\n", Machine::Google),
            (
                "chassis_asset_tag",
                "7783-7084-3265-9085-8269-3286-77\n",
                Machine::Azure,
            ),
            ("sys_vendor", "Microsoft Corporation\n", Machine::Other),
            ("sys_vendor", "QEMU\n", Machine::Other),
        ] {
            let directory = tempfile::tempdir().expect("a directory");
            std::fs::write(directory.path().join(file), text).expect("written");
            assert_eq!(Machine::of(directory.path()), machine, "{file} {text}");
        }
        assert_eq!(Machine::of(Path::new("/nonexistent")), Machine::Other);
    }
}
