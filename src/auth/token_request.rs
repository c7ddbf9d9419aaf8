//! Requests to a token server: the URL of a GET, the form of a POST.
//!
//! <https://distribution.github.io/distribution/spec/auth/token/>,
//! <https://distribution.github.io/distribution/spec/auth/oauth/>

use url::Url;
use url::form_urlencoded::Serializer;

use super::{Scope, Secret, TokenServer};

const CLIENT_ID: &str = "polyarch";

/// A request for a token.
#[derive(Debug, Clone)]
pub struct TokenRequest<'a> {
    pub server: &'a TokenServer,
    pub scopes: &'a [Scope],
    /// The user name of a request with Basic authorisation.
    pub account: Option<&'a str>,
}

impl TokenRequest<'_> {
    /// Returns the URL of the GET: the query of the realm, `service`, one `scope` for each repository, `account`.
    pub fn get(&self) -> Url {
        let mut url = self.server.realm.url().clone();
        {
            let mut query = url.query_pairs_mut();
            if let Some(service) = &self.server.service {
                query.append_pair("service", service);
            }
            for scope in self.scopes {
                query.append_pair("scope", &scope.to_string());
            }
            if let Some(account) = self.account {
                query.append_pair("account", account);
            }
        }
        // Without any pair a bare question mark is left.
        if url.query() == Some("") {
            url.set_query(None);
        }
        url
    }

    /// Returns the form of the POST to the realm that exchanges an identity token. All scopes are in one field.
    pub fn form(&self, identity_token: &Secret) -> Secret {
        let scopes: Vec<String> = self.scopes.iter().map(Scope::to_string).collect();
        let mut form = Serializer::new(String::new());
        form.append_pair("grant_type", "refresh_token");
        form.append_pair("client_id", CLIENT_ID);
        if let Some(service) = &self.server.service {
            form.append_pair("service", service);
        }
        if !scopes.is_empty() {
            form.append_pair("scope", &scopes.join(" "));
        }
        form.append_pair("refresh_token", identity_token.reveal());
        Secret::new(form.finish())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::Realm;

    fn server(realm: &str, service: Option<&str>) -> TokenServer {
        TokenServer {
            realm: Realm::trusted(realm.parse().expect("a URL")),
            service: service.map(str::to_owned),
        }
    }

    #[test]
    fn a_get_repeats_the_scope() {
        let request = TokenRequest {
            server: &server(
                "https://auth.example/token?tenant=a%20b",
                Some("registry & co"),
            ),
            scopes: &[Scope::push("team/app"), Scope::pull("team/base")],
            account: Some("joe+x"),
        };
        assert_eq!(
            request.get().as_str(),
            "https://auth.example/token?tenant=a%20b&service=registry+%26+co\
             &scope=repository%3Ateam%2Fapp%3Apull%2Cpush&scope=repository%3Ateam%2Fbase%3Apull\
             &account=joe%2Bx"
        );
    }

    #[test]
    fn a_get_without_parameters_is_the_realm() {
        let request = TokenRequest {
            server: &server("https://auth.example/token", None),
            scopes: &[],
            account: None,
        };
        assert_eq!(request.get().as_str(), "https://auth.example/token");
    }

    #[test]
    fn a_form_joins_the_scopes() {
        let request = TokenRequest {
            server: &server("https://auth.example/token", Some("registry.example")),
            scopes: &[Scope::push("app"), Scope::pull("base")],
            account: None,
        };
        assert_eq!(
            request.form(&Secret::new("re=fresh&")).reveal(),
            "grant_type=refresh_token&client_id=polyarch&service=registry.example\
             &scope=repository%3Aapp%3Apull%2Cpush+repository%3Abase%3Apull\
             &refresh_token=re%3Dfresh%26"
        );
    }
}
