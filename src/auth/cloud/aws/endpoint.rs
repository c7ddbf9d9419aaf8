//! The endpoints of AWS.

use url::Url;

use crate::auth::cloud::client::CloudClient;
use crate::auth::cloud::error::CloudError;

/// Returns the endpoint of a service: from its variable, `AWS_ENDPOINT_URL`, or the default host.
pub(super) fn endpoint(
    client: &CloudClient,
    variable: &str,
    host: &str,
) -> Result<Url, CloudError> {
    for name in [variable, "AWS_ENDPOINT_URL"] {
        if let Some(url) = client.endpoint(name)? {
            return Ok(url);
        }
    }
    Url::parse(&format!("https://{host}/")).map_err(|_| CloudError::BadEndpoint {
        variable: variable.to_owned(),
    })
}

/// Returns the domain of the partition of a region.
pub(super) fn partition(region: &str) -> &'static str {
    [
        ("cn-", "amazonaws.com.cn"),
        ("eusc-", "amazonaws.eu"),
        ("us-isob-", "sc2s.sgov.gov"),
        ("us-isof-", "csp.hci.ic.gov"),
        ("us-iso-", "c2s.ic.gov"),
        ("eu-isoe-", "cloud.adc-e.uk"),
    ]
    .into_iter()
    .find(|(prefix, _)| region.starts_with(prefix))
    .map_or("amazonaws.com", |(_, domain)| domain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partitions_follow_the_region() {
        for (region, domain) in [
            ("eu-west-1", "amazonaws.com"),
            ("us-gov-west-1", "amazonaws.com"),
            ("cn-north-1", "amazonaws.com.cn"),
            ("us-iso-east-1", "c2s.ic.gov"),
            ("us-isob-east-1", "sc2s.sgov.gov"),
        ] {
            assert_eq!(partition(region), domain);
        }
    }
}
