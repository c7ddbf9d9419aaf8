//! Tests of the test registry with other clients. It must behave like a real registry over every scheme and with every
//! form of authentication.

mod docker;
mod skopeo;

use crate::support::registry::{Accounts, Bearer, Builder, Registry, Scheme, Site, TokenField};

/// The authentication of the registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Login {
    Open,
    Basic,
    Bearer,
    /// The token server is another host, over TLS.
    BearerOnAnotherHost,
}

const SCHEMES: [Scheme; 3] = [Scheme::Http, Scheme::TlsHttp1, Scheme::TlsHttp2];
const LOGINS: [Login; 4] = [
    Login::Open,
    Login::Basic,
    Login::Bearer,
    Login::BearerOnAnotherHost,
];

/// Returns accounts in which only `ci` may pull from and push to `team/`, and everyone may pull from `public/`.
fn accounts() -> Accounts {
    Accounts::new("ci", "pw")
        .user("guest", "pw2")
        .grant("ci", "team/*", "pull,push")
        .anonymous("public/*", "pull")
}

fn builder(scheme: Scheme, auth: Login) -> Builder {
    let builder = Registry::builder().scheme(scheme);
    let bearer = Bearer::new(accounts());
    match auth {
        Login::Open => builder,
        Login::Basic => builder.basic(accounts()),
        Login::Bearer => builder.bearer(bearer),
        Login::BearerOnAnotherHost => {
            let site = Site::new(scheme).ip("127.0.0.3");
            builder.bearer(bearer.at(site).field(TokenField::AccessToken))
        }
    }
}

/// Returns every scheme with every form of authentication.
fn combinations() -> impl Iterator<Item = (Scheme, Login)> {
    SCHEMES
        .into_iter()
        .flat_map(|scheme| LOGINS.into_iter().map(move |auth| (scheme, auth)))
}
