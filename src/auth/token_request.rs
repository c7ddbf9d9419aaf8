//! Requests to a token server: the URL of a GET, the form of a POST.
//!
//! <https://distribution.github.io/distribution/spec/auth/token/>,
//! <https://distribution.github.io/distribution/spec/auth/oauth/>

use url::Url;
use url::form_urlencoded::Serializer;

use super::{Realm, Scope, Secret};

const CLIENT_ID: &str = "polyarch";

/// A request for a token.
#[derive(Debug, Clone)]
pub struct TokenRequest<'a> {
    pub realm: &'a Realm,
    /// The name of the registry in the challenge.
    pub service: Option<&'a str>,
    pub scopes: &'a [Scope],
    /// The user name of a request with Basic authorisation.
    pub account: Option<&'a str>,
}

/// The POST of a token request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenForm {
    pub url: Url,
    /// The body, of type `application/x-www-form-urlencoded`. It contains the refresh token.
    pub body: Secret,
}

impl TokenRequest<'_> {
    /// Returns the URL of the GET: the query of the realm, `service`, one `scope` for each repository, `account`.
    pub fn get(&self) -> Url {
        let mut url = self.realm.url().clone();
        {
            let mut query = url.query_pairs_mut();
            if let Some(service) = self.service {
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

    /// Returns the POST that exchanges an identity token. All scopes are in one field.
    pub fn post(&self, identity_token: &Secret) -> TokenForm {
        let scopes: Vec<String> = self.scopes.iter().map(Scope::to_string).collect();
        let mut form = Serializer::new(String::new());
        form.append_pair("grant_type", "refresh_token");
        form.append_pair("client_id", CLIENT_ID);
        if let Some(service) = self.service {
            form.append_pair("service", service);
        }
        if !scopes.is_empty() {
            form.append_pair("scope", &scopes.join(" "));
        }
        form.append_pair("refresh_token", identity_token.reveal());
        TokenForm {
            url: self.realm.url().clone(),
            body: Secret::new(form.finish()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn realm(text: &str) -> Realm {
        let registry = Url::parse("https://registry.example").expect("a URL");
        Realm::check(text, &registry).expect("allowed")
    }

    #[test]
    fn a_get_repeats_the_scope() {
        let realm = realm("https://auth.example/token?tenant=a%20b");
        let scopes = [Scope::push("team/app"), Scope::pull("team/base")];
        let request = TokenRequest {
            realm: &realm,
            service: Some("registry & co"),
            scopes: &scopes,
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
    fn a_get_with_nothing_to_say_is_the_realm() {
        let realm = realm("https://auth.example/token");
        let request = TokenRequest {
            realm: &realm,
            service: None,
            scopes: &[],
            account: None,
        };
        assert_eq!(request.get().as_str(), "https://auth.example/token");
    }

    #[test]
    fn a_post_joins_the_scopes() {
        let realm = realm("https://auth.example/token");
        let scopes = [Scope::push("app"), Scope::pull("base")];
        let request = TokenRequest {
            realm: &realm,
            service: Some("registry.example"),
            scopes: &scopes,
            account: None,
        };
        let form = request.post(&Secret::new("re=fresh&"));
        assert_eq!(form.url.as_str(), "https://auth.example/token");
        assert_eq!(
            form.body.reveal(),
            "grant_type=refresh_token&client_id=polyarch&service=registry.example\
             &scope=repository%3Aapp%3Apull%2Cpush+repository%3Abase%3Apull\
             &refresh_token=re%3Dfresh%26"
        );
        assert!(!format!("{form:?}").contains("fresh"));
    }
}
