//! Messages, and a client's first word, in both versions of MQTT.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "the crate's properties are those of the standard, and most are of no use to a client"
)]

use mqtt_protocol_core::mqtt::packet::{
    self, CorrelationData, MessageExpiryInterval, Property, ReceiveMaximum, ResponseTopic,
    SessionExpiryInterval, UserProperty, v3_1_1, v5_0,
};
use mqtt_protocol_core::mqtt::result_code::MqttError;

use super::config::Qos;

/// As whom, and how, a client connects.
#[derive(Clone, Debug)]
pub(crate) struct Hello {
    pub(crate) client_id: String,
    pub(crate) username: Option<String>,
    pub(crate) password: Option<Vec<u8>>,
    pub(crate) keep_alive_s: u16,
    /// What the broker publishes, retained, when the connection is lost.
    pub(crate) will: Option<(String, String)>,
    /// How long the broker keeps what it has for this client; 0: nothing is kept.
    pub(crate) session_s: u32,
}

/// A message of a broker, or for one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) topic: String,
    pub(crate) payload: Vec<u8>,
    pub(crate) retained: bool,
    /// Seconds until it is over, at the broker and from there on.
    pub(crate) expiry_s: Option<u32>,
    pub(crate) response_topic: Option<String>,
    pub(crate) correlation: Option<Vec<u8>>,
    pub(crate) properties: Vec<(String, String)>,
}

impl Hello {
    pub(super) fn v5(&self) -> Result<v5_0::Connect, MqttError> {
        let mut builder = v5_0::Connect::builder()
            .client_id(self.client_id.as_str())?
            .clean_start(self.session_s == 0)
            .keep_alive(self.keep_alive_s)
            .props(vec![
                Property::SessionExpiryInterval(SessionExpiryInterval::new(self.session_s)?),
                Property::ReceiveMaximum(ReceiveMaximum::new(RECEIVE_MAX)?),
            ]);
        if let Some((topic, payload)) = &self.will {
            let payload = payload.clone().into_bytes();
            builder =
                builder.will_message(topic.as_str(), payload, packet::Qos::AtLeastOnce, true)?;
        }
        if let Some(username) = &self.username {
            builder = builder.user_name(username.as_str())?;
        }
        if let Some(password) = &self.password {
            builder = builder.password(password.clone())?;
        }
        builder.build()
    }

    pub(super) fn v311(&self) -> Result<v3_1_1::Connect, MqttError> {
        let mut builder = v3_1_1::Connect::builder()
            .client_id(self.client_id.as_str())?
            .clean_session(self.session_s == 0)
            .keep_alive(self.keep_alive_s);
        if let Some((topic, payload)) = &self.will {
            let payload = payload.clone().into_bytes();
            builder =
                builder.will_message(topic.as_str(), payload, packet::Qos::AtLeastOnce, true)?;
        }
        if let Some(username) = &self.username {
            builder = builder.user_name(username.as_str())?;
        }
        if let Some(password) = &self.password {
            builder = builder.password(password.clone())?;
        }
        builder.build()
    }
}

impl Message {
    pub(super) fn v5(&self, qos: Qos, packet_id: Option<u16>) -> Result<v5_0::Publish, MqttError> {
        let mut properties = Vec::new();
        if let Some(expiry_s) = self.expiry_s {
            let expiry = MessageExpiryInterval::new(expiry_s)?;
            properties.push(Property::MessageExpiryInterval(expiry));
        }
        if let Some(topic) = &self.response_topic {
            properties.push(Property::ResponseTopic(ResponseTopic::new(topic.as_str())?));
        }
        if let Some(data) = &self.correlation {
            properties.push(Property::CorrelationData(CorrelationData::new(
                data.clone(),
            )?));
        }
        for (key, value) in &self.properties {
            let property = UserProperty::new(key.as_str(), value.as_str())?;
            properties.push(Property::UserProperty(property));
        }
        v5_0::Publish::builder()
            .topic_name(self.topic.as_str())?
            .qos(number(qos))
            .retain(self.retained)
            .packet_id(packet_id)
            .props(properties)
            .payload(self.payload.clone())
            .build()
    }

    pub(super) fn v311(
        &self,
        qos: Qos,
        packet_id: Option<u16>,
    ) -> Result<v3_1_1::Publish, MqttError> {
        v3_1_1::Publish::builder()
            .topic_name(self.topic.as_str())?
            .qos(number(qos))
            .retain(self.retained)
            .packet_id(packet_id)
            .payload(self.payload.clone())
            .build()
    }

    pub(super) fn from_v5(packet: &v5_0::Publish) -> Message {
        let mut message = Message {
            topic: packet.topic_name().to_string(),
            payload: packet.payload().as_slice().to_vec(),
            retained: packet.retain(),
            ..Message::default()
        };
        for property in packet.props() {
            match property {
                Property::MessageExpiryInterval(expiry) => message.expiry_s = Some(expiry.val()),
                Property::ResponseTopic(topic) => {
                    message.response_topic = Some(topic.val().to_string());
                }
                Property::CorrelationData(data) => message.correlation = Some(data.val().to_vec()),
                Property::UserProperty(pair) if message.properties.len() < PROPERTIES_MAX => {
                    let pair = (pair.key().to_string(), pair.val().to_string());
                    message.properties.push(pair);
                }
                _ => {}
            }
        }
        message
    }
}

const fn number(qos: Qos) -> packet::Qos {
    match qos {
        Qos::AtMostOnce => packet::Qos::AtMostOnce,
        Qos::AtLeastOnce => packet::Qos::AtLeastOnce,
        Qos::ExactlyOnce => packet::Qos::ExactlyOnce,
    }
}

/// Messages of QoS over 0 that a broker may have under way to this client, which takes each at once. A lower bound lets Mosquitto 2.0 stand
/// still after a restart with messages of QoS 2 under way: it counts them twice.
const RECEIVE_MAX: u16 = u16::MAX;
/// User properties that are kept of a message.
const PROPERTIES_MAX: usize = 32;
