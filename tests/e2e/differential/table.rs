//! The named cases, from the files in `cases/`. A case is a line `= NAME`, then a line `- IMAGE` for each image (or
//! `- as before` for the images of the previous case), then the steps.

use super::script::Case;

const FILES: [&str; 5] = [
    include_str!("cases/kinds.txt"),
    include_str!("cases/names.txt"),
    include_str!("cases/annotate.txt"),
    include_str!("cases/life.txt"),
    include_str!("cases/refusals.txt"),
];

/// Returns all named cases.
pub(super) fn cases() -> Vec<Case> {
    FILES.into_iter().flat_map(read).collect()
}

fn read(text: &str) -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    for line in text
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
    {
        if let Some(name) = line.strip_prefix("= ") {
            cases.push(Case {
                name: name.to_owned(),
                images: Vec::new(),
                steps: Vec::new(),
            });
        } else if line == "- as before" {
            let [.., before, case] = &mut cases[..] else {
                panic!("no case before");
            };
            case.images.clone_from(&before.images);
        } else {
            let case = cases.last_mut().expect("a case");
            match line.strip_prefix("- ") {
                Some(image) => case.images.push(image.to_owned()),
                None => case.steps.push(line.to_owned()),
            }
        }
    }
    cases
}
