//! Frames of the control socket, and the description of an instance: whatever is understood comes back as it was when it
//! is sent again.

use std::fmt::Debug;

use control::event::Event;
use control::instance::{Description, InstanceName};
use control::message::{
    AlertRate, AlertRule, Answer, Envelope, FailMode, NewSa, PuntClass, PuntRequest, Reply, Request, Route,
    RouteTarget, Sa, SaChange, SaChangeKind, SaDirection, SaKeys, SaLifetime, SaMode, Selector,
};
use router_alert::handler::Handler;
use router_alert::matching::Rule;
use router_alert::values::ValueSet;
use serde::Serialize;
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

/// Requests, answers and events as they are sent.
pub fn seeds() -> Vec<Vec<u8>> {
    let target = RouteTarget::Via {
        next_hop: [192, 168, 1, 2].into(),
        interface: Some("wan".to_owned()),
    };
    let via = Route {
        metric: Some(7),
        mtu: Some(1400),
        ..Route::new(ipnet::Ipv4Net::default().into(), target)
    };
    let requests = [
        Request::Hello {
            version: control::VERSION.to_owned(),
            layout_hash: shm::LAYOUT_HASH,
            tool: "tollgate-ctl".to_owned(),
        },
        Request::RouteAdd {
            routes: vec![via.clone(); 3],
            replace: true,
        },
        Request::RouteDelete {
            routes: vec![ipnet::IpNet::V6(ipnet::Ipv6Net::default()).into()],
        },
        Request::LinkSet {
            interface: "wan".to_owned(),
            up: true,
        },
        Request::LogSet {
            module: None,
            level: control::message::LogLevel::Debug,
        },
        Request::Subscribe {
            server: "events/x".to_owned(),
        },
        Request::AlertRuleAdd(Box::new(alert_rule())),
        Request::SaAdd {
            sas: vec![sa(); 2],
            replace: true,
        },
        Request::SaDelete(vec![sa().sa.id()]),
        Request::PuntStart(PuntRequest {
            classes: vec![PuntClass::RouterAlert],
            observe: false,
            rules: Some(vec![alert_rule(); 2]),
        }),
    ];
    let answers: [Answer; 2] = [Ok(Reply::Done), Ok(Reply::Log([].into()))];
    let encoded = |body: Result<Vec<u8>, postcard::Error>| body.ok();
    let requests = requests.map(|body| encoded(postcard::to_stdvec(&Envelope { id: 7, body })));
    let answers = answers.map(|body| encoded(postcard::to_stdvec(&Envelope { id: 7, body })));
    let event = encoded(postcard::to_stdvec(&Event::RouteAdded { route: via }));
    let change = SaChange {
        change: SaChangeKind::Added,
        spi: 0x1000,
        destination: [192, 0, 2, 1].into(),
        direction: SaDirection::In,
        tunnel: None,
    };
    let changes = encoded(postcard::to_stdvec(&Event::Sas {
        changes: vec![change; 2],
    }));
    let description = br#"{"name":"blue","version":"0","pid":1,"start_time":2,"file_prefix":"tg-blue","netns":null,"config":"/c",
        "huge_dir":"/h","tables":"/t","segment":"s","group":null,"stock_tools":false,
        "devices":[{"interface":"wan","device":"net_null0","key":null}],"cpus":[{"cpu":1,"busy":false}]}"#;
    let seeds = requests
        .into_iter()
        .chain(answers)
        .chain([event, changes])
        .flatten();
    seeds.chain([description.to_vec()]).collect()
}

fn alert_rule() -> AlertRule {
    let mut values = ValueSet::default();
    values.insert(4..=35);
    let rule = Rule {
        source: Some(ipnet::IpNet::V6(ipnet::Ipv6Net::default())),
        ..Rule::new("rsvp", values)
    };
    AlertRule {
        fail: Some(FailMode::Closed),
        rate: Some(AlertRate { rate: 100, burst: 20 }),
        ..AlertRule::new(rule, Handler::Mirror("wan".to_owned()))
    }
}

fn sa() -> NewSa {
    let all = ([0, 0, 0, 0].into(), [255, 255, 255, 255].into());
    let lifetime = SaLifetime {
        seconds: Some(3600),
        ..SaLifetime::default()
    };
    NewSa {
        sa: Sa {
            spi: 0x1000,
            direction: SaDirection::In,
            tunnel: Some("ipsec0".to_owned()),
            mode: SaMode::Tunnel,
            source: [198, 51, 100, 1].into(),
            destination: [192, 0, 2, 1].into(),
            transform: "aes128gcm16".to_owned(),
            esn: true,
            window: 64,
            udp: Some((4500, 4500)),
            keepalive: 20,
            selectors: vec![Selector {
                source: all,
                destination: all,
                protocol: Some(17),
                source_ports: Selector::ANY_PORT,
                destination_ports: (53, 53),
            }],
            soft: SaLifetime::default(),
            hard: lifetime,
        },
        keys: SaKeys::new(Zeroizing::new(vec![7; 20])),
        sequence: 9,
    }
}

/// Reads bytes as each kind of message.
pub fn body(bytes: &[u8]) {
    understood::<Envelope<Request>>(bytes);
    understood::<Envelope<Answer>>(bytes);
    if let Some(event) = understood::<Event>(bytes) {
        let json = event.to_json();
        assert!(
            json.get("event").is_some_and(serde_json::Value::is_string),
            "{json}"
        );
    }
    if let Ok(text) = str::from_utf8(bytes) {
        if let Ok(name) = text.parse::<InstanceName>() {
            assert!(name.as_str() == text && !text.contains(['/', '.', '\0']));
        }
        if let Ok(description) = serde_json::from_str::<Description>(text) {
            let again = serde_json::to_string(&description);
            let again = again.ok().and_then(|text| serde_json::from_str(&text).ok());
            assert_eq!(again, Some(description));
        }
    }
}

fn understood<T: Serialize + DeserializeOwned + PartialEq + Debug>(bytes: &[u8]) -> Option<T> {
    let (message, _) = postcard::take_from_bytes::<T>(bytes).ok()?;
    let again = postcard::to_stdvec(&message).ok();
    let again = again.and_then(|bytes| postcard::from_bytes(&bytes).ok());
    assert_eq!(again.as_ref(), Some(&message));
    Some(message)
}
