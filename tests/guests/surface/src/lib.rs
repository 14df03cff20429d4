//! Calls every host function and returns every verdict, as the request's path says. What a
//! function gave is answered as text.

use std::collections::BTreeMap;

use shunt_sdk::prelude::*;

const VALUES: table::Values<str, String> = table::Values::new("values");
const COUNTS: table::Counters<str> = table::Counters::new("counts");
const WINDOWS: table::Windows<IpAddr> = table::Windows::new("windows");
const BUCKETS: table::Buckets<str> = table::Buckets::new("buckets");
const ITEMS: table::Distinct<u64, str> = table::Distinct::new("items");

/// One setting of each type.
#[derive(Settings)]
struct Surface {
    #[settings(default = false)]
    flag: bool,
    #[settings(default = 7)]
    number: u8,
    ratio: Option<f64>,
    #[settings(default = "none")]
    text: String,
    list: Option<Vec<String>>,
    labels: Option<BTreeMap<String, String>>,
}

#[rule]
impl Surface {
    fn on_flow(&self, flow: &Flow) -> flow::Verdict {
        vars::flow().set("client", flow.client.to_string());
        match flow.client.port() {
            1 => reject(),
            2 => flow::drop_flow(),
            3 => to_pool("other"),
            4 => to_pool("other")
                .member("[2001:db8::1]:443".parse().unwrap())
                .mode(Mode::L3dsrIpip)
                .snat_pool("out")
                .persist_for("key", Duration::from_secs(90)),
            5 => to_member("192.0.2.9:8080".parse().unwrap()),
            _ => next(),
        }
    }

    fn on_client_hello(&self, hello: &ClientHello) -> client_hello::Verdict {
        vars::flow().set("print", hello.fingerprint());
        let protocols: Vec<String> =
            hello.protocols().iter().map(|it| String::from_utf8_lossy(it).into_owned()).collect();
        log::info!(
            "{} {:?} {} {:?} {:?} {:?} {:?} {:?} {} {}",
            hello.flow().client,
            hello.server_name(),
            protocols.join("|"),
            hello.versions(),
            hello.ciphers(),
            hello.groups(),
            hello.signature_schemes(),
            hello.extensions(),
            hello.fingerprint(),
            hello.offers_early_data(),
        );
        match hello.server_name().as_deref() {
            Some("to.example") => to_pool("other").persist("who"),
            Some("terms.example") => to_pool("other")
                .certificate("a.example")
                .protocols(&["http/1.1"])
                .client_certificate(client_hello::Demand::Optional),
            Some("bare.example") => as_configured().client_certificate(client_hello::Demand::None),
            Some("through.example") => {
                to_pool("other").pass_through().member("192.0.2.9:8080".parse().unwrap())
            }
            Some("reject.example") => reject(),
            Some("alert.example") => client_hello::reject_with(client_hello::Alert::NoApplicationProtocol),
            Some("slot.example") => to_pool(&["no", "where"].concat()).pass_through(),
            Some("panic.example") => panic!("a hello"),
            _ => next(),
        }
    }

    fn on_request(&self, request: &Request) -> request::Verdict {
        let query = request.query();
        let argument = query.as_deref().unwrap_or_default();
        match request.path().as_str() {
            // The head, read.
            "/flow" => {
                let Flow { id, client, vip, transport, ingress } = request.flow();
                answer(format!("{id} {client} {vip} {transport:?} {ingress}"))
            }
            "/version" => answer(format!("{:?}", request.version())),
            "/scheme" => answer(format!("{:?}", request.scheme())),
            "/method" => answer(request.method()),
            "/path" => answer(request.path()),
            "/query" => answer(format!("{query:?}")),
            "/authority" => answer(request.authority()),
            "/header" => answer(format!("{:?}", request.header(argument))),
            "/headers" => answer(request.headers(argument).join("|")),
            "/header-names" => answer(request.header_names().join(" ")),

            // The head, changed.
            "/set-path" => result(request.set_path(argument)),
            "/set-query" => result(request.set_query(Some(&argument.replace('+', " ")))),
            "/remove-query" => result(request.set_query(None)),
            "/set-authority" => result(request.set_authority(argument)),
            "/set-header" => result(request.set_header(argument, "set")),
            "/set-value" => result(request.set_header("x-value", "a\nb")),
            "/add-header" => result(request.add_header(argument, "added")),
            "/remove-header" => result(request.remove_header(argument)),
            "/grow" => {
                let value = "v".repeat(1000);
                let added = (0..).take_while(|_| request.add_header("x-grow", &value).is_ok()).count();
                answer(format!("{added} {}", name(request.add_header("x-grow", &value))))
            }
            "/set-response-header" => {
                request.set_response_header("x-a", "lost").ok();
                request.set_response_header("x-a", "1").ok();
                request.remove_response_header("server").ok();
                result(request.set_response_header(argument, "x"))
            }

            // Capabilities.
            "/log" => {
                log::error!("e");
                log::warn!("w {}", self.text);
                log::info!("i");
                log::debug!("d");
                log::info!("{}", "é".repeat(4000));
                next()
            }
            "/clock" => answer(format!("{:?} {:?}", clock::unix(), clock::monotonic())),
            "/random" => answer(format!("{} {}", random::number(), random::bytes(16).len())),
            "/vars" => {
                let (request, flow) = (vars::request(), vars::flow());
                let before = (request.text("n"), flow.text("n"), flow.text("client"));
                request.set("n", "r");
                flow.set("n", "f");
                flow.set("gone", "x");
                flow.put("number", &7_i64);
                flow.remove("gone");
                answer(format!(
                    "{before:?} {:?} {:?} {:?} {:?}",
                    request.text("n"),
                    flow.text("n"),
                    flow.text("gone"),
                    flow.value::<i64>("number")
                ))
            }
            "/table-values" => {
                let before = VALUES.get(argument);
                let added = VALUES.add_if_absent(argument, &"a".to_owned());
                let again = VALUES.add_if_absent(argument, &"b".to_owned());
                let swapped =
                    ["b", "a"].map(|it| VALUES.compare_and_set(argument, &it.to_owned(), &"c".to_owned()));
                let now = VALUES.get(argument);
                VALUES.put(argument, &"d".to_owned());
                answer(format!("{before:?} {added:?} {again:?} {swapped:?} {now:?} {}", VALUES.count()))
            }
            "/table-value" => answer(format!("{:?}", VALUES.get(argument))),
            "/table-delete" => answer(format!("{} {}", VALUES.delete(argument), VALUES.delete(argument))),
            "/table-keep" => {
                let none = VALUES.keep_for("none", Duration::from_millis(1));
                VALUES.put_for(argument, &"k".to_owned(), Duration::from_millis(1500));
                answer(format!("{none} {:?}", VALUES.get(argument)))
            }
            "/table-count" => {
                let before = COUNTS.get(argument);
                let counts = [1, 41, -2, i64::MAX, i64::MAX].map(|by| COUNTS.add(argument, by));
                COUNTS.add(argument, -i64::MAX);
                answer(format!("{before} {counts:?} {}", COUNTS.count()))
            }
            "/table-window" => {
                let client = request.flow().client.ip();
                let limit = |cost| WINDOWS.allow_cost(&client, 5, Duration::from_millis(800), cost);
                let (three, again) = (limit(3), limit(3));
                answer(format!("{three:?} {again:?} {:?} {:?}", limit(0), again.retry_after_seconds()))
            }
            "/table-bucket" => {
                let rate = table::Rate { tokens: 10, per: Duration::from_secs(1), burst: 2 };
                let all = [2, 1, 3].map(|cost| BUCKETS.take_cost(argument, rate, cost));
                answer(format!("{all:?} {:?}", BUCKETS.take(argument, rate).retry_after))
            }
            "/table-distinct" => {
                let before = ITEMS.get(&7);
                let counts = ["a", "b", "a"].map(|item| ITEMS.add(&7, item));
                answer(format!("{before} {counts:?} {} {}", ITEMS.get(&7), ITEMS.get(&8)))
            }
            "/persist" => {
                let member = "192.0.2.1:80".parse().unwrap();
                let before = persist::lookup("primary", argument);
                let bound = [
                    persist::bind("primary", argument, member),
                    persist::bind_for("primary", "other", member, Duration::from_millis(1500)),
                    persist::bind("primary", "none", "192.0.2.99:80".parse().unwrap()),
                ];
                let (now, count) = (persist::lookup("primary", argument), persist::count("primary"));
                let deleted = ["other", "other"].map(|key| persist::delete("primary", key));
                answer(format!("{before:?} {bound:?} {now:?} {count} {deleted:?}"))
            }
            "/pool" => {
                let lb::Pool { members, usable, active } = lb::pool("primary");
                answer(format!("{members} {usable} {active}"))
            }
            "/queue" => {
                let lb::Queue { waiting, oldest } = lb::queue("primary");
                answer(format!("{waiting} {oldest:?}"))
            }
            "/members" => {
                let members = lb::members("primary").into_iter();
                answer(
                    members
                        .map(|member| {
                            format!(
                                "{} {:?} {} {}",
                                member.address, member.state, member.weight, member.active
                            )
                        })
                        .collect::<Vec<_>>()
                        .join("|"),
                )
            }
            "/set-address" => answer(format!("{:?}", sets::address("clients", request.flow().client.ip()))),
            "/set-text" => {
                let (set, text) = argument.split_once('=').unwrap_or(("paths", argument));
                let found =
                    sets::find(set, text).map(|sets::Entry { matched, value }| format!("{matched} {value}"));
                answer(format!("{found:?}"))
            }
            "/flags" => answer(format!(
                "{} {} {}",
                flags::is_on("on"),
                flags::integer("share"),
                flags::text("banner")
            )),
            "/digest" => {
                let (short, long) = (crypto::sha256(argument), crypto::sha512(argument));
                answer(format!("{} {}", crypto::base64url(short), crypto::base64url(long)))
            }
            "/sign" => {
                let tag = crypto::sign("secret", argument);
                let good = crypto::verify("secret", argument, &tag);
                let bad = crypto::verify("secret", "other", &tag);
                answer(format!("{} {good} {bad}", crypto::base64url(tag)))
            }
            "/equal" => {
                let (left, right) = argument.split_once('=').unwrap_or_default();
                answer(format!("{}", crypto::equal(left, right)))
            }
            "/seal" => answer(crypto::seal("secret", argument, "cookie")),
            "/open" => answer(format!(
                "{:?} {:?}",
                crypto::open("secret", argument, "cookie"),
                crypto::open("secret", argument, "other")
            )),
            "/token" => answer(match crypto::verify_token("issuer", argument, 60) {
                Ok(claims) => format!(
                    "{:?} {:?} {:?} {:?} {}",
                    claims.subject, claims.issuer, claims.audience, claims.expires, claims.json
                ),
                Err(error) => error.name().to_owned(),
            }),
            "/client-certificate" => {
                answer(format!("{:?} {:?}", client_certificate::get(), client_certificate::pem()))
            }
            "/settings" => answer(format!(
                "{} {} {:?} {} {:?} {:?}",
                self.flag, self.number, self.ratio, self.text, self.list, self.labels
            )),

            // Verdicts.
            "/to" => to_pool("other").persist("who"),
            "/respond" => respond(418)
                .header("x-a", "1")
                .header("x-a", "2")
                .header("location", "/b")
                .text("short and stout"),
            "/reject" => reject(),
            "/need-body" => request::need_body(5),
            _ => next(),
        }
    }

    fn on_request_body(&self, request: &Request, body: &request_body::Body) -> request_body::Verdict {
        match request.header("x-do").as_deref() {
            Some("replace") => {
                let mut bytes = body.bytes.clone();
                bytes.reverse();
                replace_body(bytes)
            }
            Some("to") => to_pool("other"),
            Some("respond") => respond(200).text(format!("{} {}", body.bytes.len(), body.complete)),
            Some("reject") => reject(),
            _ => next(),
        }
    }

    fn on_selected(&self, request: Option<&Request>, selection: &selected::Selection) -> selected::Verdict {
        let selected::Selection { flow, member, slot, reason, weight, active, vetoes } = selection;
        let path = request.map(Request::path);
        log::info!("{path:?} {} {member} {slot:?} {reason:?} {weight} {active} {vetoes}", flow.client);
        let name = vars::flow().text("client");
        match request.and_then(|it| it.header("x-do")).or(name).as_deref() {
            Some("select") => to_pool("other").member("192.0.2.9:8080".parse().unwrap()),
            Some("veto") => veto(&format!("{member} has {active}")),
            Some("long") => veto(&"v".repeat(257)),
            Some("panic") => panic!("a selection"),
            _ => next(),
        }
    }

    fn on_connect_failed(
        &self,
        request: &Request,
        failure: &connect_failed::Failure,
    ) -> connect_failed::Verdict {
        match request.header("x-do").as_deref() {
            Some("retry") => retry(),
            Some("to") => to_pool("other"),
            Some("respond") => respond(503).text(format!(
                "{:?} {:?} {:?} {}",
                failure.member,
                failure.cause,
                failure.tls(),
                failure.attempts
            )),
            _ => next(),
        }
    }

    fn on_response(&self, request: &Request, response: &Response) -> response::Verdict {
        match request.header("x-do").as_deref() {
            Some("retry") => retry(),
            Some("read") => respond(200).text(format!(
                "{} {:?} {} {} {:?} {}",
                response.status(),
                response.header("server"),
                response.headers("x-many").join("|"),
                response.header_names().join(" "),
                response.slot(),
                response.member(),
            )),
            Some("change") => {
                let results = [
                    response.set_status(299),
                    response.set_status(199),
                    response.set_header("x-set", "1"),
                    response.add_header("x-many", "3"),
                    response.remove_header("server"),
                    response.set_header("content-length", "1"),
                    response.set_header("bad name", "1"),
                ];
                request.set_response_header("x-results", results.map(name).join(" ")).ok();
                next()
            }
            Some("body") => {
                response.need_body(1);
                response.need_body(5);
                next()
            }
            Some("body-and-retry") => {
                response.need_body(5);
                retry()
            }
            _ => next(),
        }
    }

    fn on_response_body(
        &self,
        request: &Request,
        response: &Response,
        body: &response_body::Body,
    ) -> response_body::Verdict {
        match request.header("x-do").as_deref() {
            Some("replace") => {
                response.set_header("x-replaced", "1").ok();
                let mut bytes = body.bytes.clone();
                bytes.reverse();
                replace_body(bytes)
            }
            Some("respond") => {
                respond(200).text(format!("{} {} {}", response.status(), body.bytes.len(), body.complete))
            }
            Some("panic") => panic!("a body"),
            _ => next(),
        }
    }

    fn on_done(&self, summary: &done::Summary) {
        log::info!(
            "done {:?} {:?} {:?} {} {} {:?} {:?} {:?}",
            summary.outcome,
            summary.status,
            summary.member,
            summary.bytes_to_server,
            summary.bytes_to_client,
            summary.duration,
            summary.first_byte,
            vars::request().text("n"),
        );
    }
}

fn answer(text: String) -> request::Verdict {
    respond(200).text(text)
}

fn result(result: Result<(), FieldError>) -> request::Verdict {
    answer(name(result).to_owned())
}

fn name(result: Result<(), FieldError>) -> &'static str {
    match result {
        Ok(()) => "ok",
        Err(FieldError::Invalid) => "invalid",
        Err(FieldError::Forbidden) => "forbidden",
        Err(FieldError::TooLarge) => "too-large",
        Err(FieldError::NotGranted) => "not-granted",
    }
}
