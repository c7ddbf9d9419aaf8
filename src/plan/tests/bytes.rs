//! Tests of the exact bytes in the styles of buildx and Docker.

use crate::plan::fixture::*;
use crate::plan::{Options, Style};
use crate::spec::{Digest, Manifest, MediaType};

fn text(sources: &[crate::plan::Source], options: &Options) -> String {
    let plan = planned(sources, options).unwrap();
    assert_eq!(plan.index.digest, Digest::sha256(&plan.index.bytes));
    let read = Manifest::parse(plan.index.bytes.clone(), &MediaType::default()).unwrap();
    assert_eq!(read, plan.index);
    String::from_utf8(plan.index.bytes.to_vec()).unwrap()
}

#[test]
fn buildx_style_has_two_spaces_and_oci_order() {
    let windows = windows_image("w", "windows(10.0.17763+win32k)/amd64");
    let linux = image("l", "linux/arm/v7");
    let options = Options {
        annotations: vec!["manifest-descriptor[linux/arm]:k=<v>".parse().unwrap()],
        ..Options::default()
    };
    let expected = format!(
        r#"{{
  "schemaVersion": 2,
  "mediaType": "application/vnd.oci.image.index.v1+json",
  "manifests": [
    {{
      "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
      "digest": "{}",
      "size": {},
      "platform": {{
        "architecture": "amd64",
        "os": "windows",
        "os.version": "10.0.17763",
        "os.features": [
          "win32k"
        ]
      }}
    }},
    {{
      "mediaType": "application/vnd.oci.image.manifest.v1+json",
      "digest": "{}",
      "size": {},
      "annotations": {{
        "k": "\u003cv\u003e"
      }},
      "platform": {{
        "architecture": "arm",
        "os": "linux",
        "variant": "v7"
      }}
    }}
  ]
}}"#,
        windows.digest(),
        windows.descriptor.size,
        linux.digest(),
        linux.descriptor.size
    );
    assert_eq!(
        text(&[source("w", windows), source("l", linux)], &options),
        expected
    );
}

#[test]
fn docker_style_has_three_spaces_and_docker_order() {
    let windows = windows_image("w", "windows(10.0.17763)/amd64");
    let options = Options {
        style: Style::Docker,
        ..Options::default()
    };
    let expected = format!(
        r#"{{
   "schemaVersion": 2,
   "mediaType": "application/vnd.docker.distribution.manifest.list.v2+json",
   "manifests": [
      {{
         "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
         "size": {},
         "digest": "{}",
         "platform": {{
            "architecture": "amd64",
            "os": "windows",
            "os.version": "10.0.17763"
         }}
      }}
   ]
}}"#,
        windows.descriptor.size,
        windows.digest()
    );
    assert_eq!(text(&[source("w", windows)], &options), expected);
}

#[test]
fn docker_style_has_unknown_fields_last() {
    let mut node = image("a", "linux/amd64");
    let descriptor = &mut node.descriptor;
    descriptor
        .annotations
        .insert("k".to_owned(), "<&>".to_owned());
    descriptor.urls.push("https://example.com".to_owned());
    descriptor.data = Some("e30=".to_owned());
    descriptor.artifact_type = Some("application/x".to_owned());
    descriptor.extra.insert("more".to_owned(), 1.into());
    let options = Options {
        style: Style::Docker,
        annotations: vec!["i=1".parse().unwrap()],
        ..Options::default()
    };
    let written = text(&[source("a", node)], &options);
    let order = [
        "\"digest\"",
        "\"platform\"",
        "\"k\": \"\\u003c\\u0026\\u003e\"",
        "\"urls\"",
        "\"data\"",
        "\"artifactType\"",
        "\"more\"",
        "\"i\": \"1\"",
    ];
    let positions = order.map(|key| written.find(key).expect(key));
    assert!(positions.is_sorted(), "{written}");
}

#[test]
fn unknown_fields_of_entries_are_kept() {
    let mut child = image_entry("a", "linux/amd64");
    child
        .descriptor
        .extra
        .insert("more".to_owned(), serde_json::json!({"z": 1, "a": [2]}));
    let platform = child.descriptor.platform.as_mut().unwrap();
    platform
        .extra
        .insert("features".to_owned(), serde_json::json!(["sse4"]));
    let sources = [
        source("l", index(vec![child.clone()])),
        source("b", image("b", "linux/arm64")),
    ];
    let plan = planned(&sources, &Options::default()).unwrap();
    assert_eq!(entries(&plan)[0], child.descriptor);
    assert_eq!(plan.index.bytes, oci_json(plan.index.index().unwrap()));
}
