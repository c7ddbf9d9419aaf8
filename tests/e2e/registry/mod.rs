//! The test registry under clients that no one here wrote: what they can do with a
//! real one they can do with it, in every scheme and with every kind of credentials.

mod docker;
mod skopeo;

use crate::support::registry::{Accounts, Bearer, Builder, Registry, Scheme, Site, TokenField};

/// How the registry wants to be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Door {
    Open,
    Basic,
    Bearer,
    /// The token server is another host, over TLS.
    BearerElsewhere,
}

const SCHEMES: [Scheme; 3] = [Scheme::Http, Scheme::TlsHttp1, Scheme::TlsHttp2];
const DOORS: [Door; 4] = [Door::Open, Door::Basic, Door::Bearer, Door::BearerElsewhere];

/// `ci` may pull and push in `team/`, nobody else may do anything there.
fn accounts() -> Accounts {
    Accounts::new("ci", "pw")
        .user("guest", "pw2")
        .grant("ci", "team/*", "pull,push")
        .anonymous("public/*", "pull")
}

fn builder(scheme: Scheme, door: Door) -> Builder {
    let builder = Registry::builder().scheme(scheme);
    let bearer = Bearer::new(accounts());
    match door {
        Door::Open => builder,
        Door::Basic => builder.basic(accounts()),
        Door::Bearer => builder.bearer(bearer),
        Door::BearerElsewhere => {
            let site = Site::new(scheme).ip("127.0.0.3");
            builder.bearer(bearer.at(site).field(TokenField::AccessToken))
        }
    }
}

/// Every scheme with every door.
fn combinations() -> impl Iterator<Item = (Scheme, Door)> {
    SCHEMES
        .into_iter()
        .flat_map(|scheme| DOORS.into_iter().map(move |door| (scheme, door)))
}
