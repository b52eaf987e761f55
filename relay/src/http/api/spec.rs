//! The API's description (OpenAPI 3.1), made from the code, and a page to browse it.

use axum::http::{HeaderValue, header};
use axum::response::{Html, IntoResponse, Response};
use serde_json::{Value, json};
use utoipa::OpenApi;

use super::words::Part;

/// What is said of the API as a whole.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "longrein hub",
        description = "What a business back end asks of a fleet's hub. Nothing that goes through it commands a vehicle.",
    ),
    servers((url = "/v1")),
    components(schemas(Part)),
    tags(
        (name = "messages", description = "Messages to nodes, and to the service"),
        (name = "rooms", description = "Rooms and their members"),
        (name = "topics", description = "What is published in rooms, and the past"),
        (name = "nodes", description = "Who is here"),
        (name = "documents", description = "Attributes and shadows"),
        (name = "locks", description = "Locks of nodes and rooms"),
        (name = "events", description = "What happens"),
        (name = "webhooks", description = "What happens, posted to back ends"),
        (name = "quality", description = "How good links are"),
    ),
)]
struct Head;

/// What is said of the API as a whole.
pub(super) fn head() -> utoipa::openapi::OpenApi {
    Head::openapi()
}

/// The description as JSON, with what all operations have in common.
pub(super) fn text(description: utoipa::openapi::OpenApi) -> String {
    let mut all = serde_json::to_value(description).unwrap_or_default();
    if let Some(info) = all.pointer_mut("/info").and_then(Value::as_object_mut) {
        info.insert("version".to_string(), env!("CARGO_PKG_VERSION").into());
    }
    let paths = all.pointer_mut("/paths").and_then(Value::as_object_mut);
    for (_, path) in paths.into_iter().flatten() {
        for (method, operation) in path.as_object_mut().into_iter().flatten() {
            complete(method, operation);
        }
    }
    if let Some(all) = all.as_object_mut() {
        all.insert("security".to_string(), json!([{ "token": [] }]));
        let components = all.entry("components").or_insert_with(|| json!({}));
        let schemes = json!({
            "token": { "type": "http", "scheme": "bearer", "bearerFormat": "JWT" }
        });
        if let Some(components) = components.as_object_mut() {
            components.insert("securitySchemes".to_string(), schemes);
            let schemas = components.entry("schemas").or_insert_with(|| json!({}));
            if let Some(schemas) = schemas.as_object_mut() {
                schemas.insert("Problem".to_string(), problem());
            }
        }
    }
    all.to_string()
}

/// Adds what every operation may answer, and the header of those that change something.
fn complete(method: &str, operation: &mut Value) {
    let has_body = operation.get("requestBody").is_some();
    let changes = matches!(method, "post" | "patch");
    let Some(operation) = operation.as_object_mut() else {
        return;
    };
    if changes {
        let parameters = operation.entry("parameters").or_insert_with(|| json!([]));
        if let Some(parameters) = parameters.as_array_mut() {
            parameters.push(json!({
                "name": "Idempotency-Key",
                "in": "header",
                "required": false,
                "description": "A request that is sent again with the same key within 24 hours is answered as before, and done once",
                "schema": { "type": "string", "pattern": "^([A-Za-z0-9._:-]{1,128}|\"[A-Za-z0-9._:-]{1,128}\")$" },
            }));
        }
    }
    let responses = operation.entry("responses").or_insert_with(|| json!({}));
    let Some(responses) = responses.as_object_mut() else {
        return;
    };
    for (_, response) in responses
        .iter_mut()
        .filter(|(status, _)| status.as_str() >= "400")
    {
        response["content"] = content();
    }
    let mut common = vec![
        ("400", "The request cannot be read"),
        ("401", "There is no token that is believed"),
        ("403", "The token or the role in the room does not allow it"),
        ("422", "The request says something that it may not"),
        (
            "429",
            "The service asks more often than it may; `Retry-After` says when to ask again",
        ),
        (
            "503",
            "The hub is busy, cannot store, or is not here; `Retry-After` says when to ask again",
        ),
    ];
    if has_body {
        common.push(("413", "The body is too large"));
        common.push(("415", "The body is not application/json"));
    }
    if changes {
        common.push(("409", "A request with this `Idempotency-Key` is being done"));
    }
    for (status, description) in common {
        let response = json!({ "description": description, "content": content() });
        responses.entry(status).or_insert(response);
    }
}

fn content() -> Value {
    json!({ "application/problem+json": { "schema": { "$ref": "#/components/schemas/Problem" } } })
}

fn problem() -> Value {
    json!({
        "type": "object",
        "description": "Why a request is not answered as it wishes (RFC 9457)",
        "required": ["type", "title", "status", "detail"],
        "properties": {
            "type": { "type": "string", "examples": ["urn:longrein:problem:no-such-room"] },
            "title": { "type": "string" },
            "status": { "type": "integer", "minimum": 400, "maximum": 599 },
            "detail": { "type": "string" },
        },
    })
}

/// `GET /v1/openapi.json`.
pub(super) fn json(text: &str) -> Response {
    let kind = HeaderValue::from_static("application/json");
    ([(header::CONTENT_TYPE, kind)], text.to_string()).into_response()
}

/// `GET /v1/docs`: everything that it needs is in it.
pub(super) async fn page() -> Response {
    let only_own = HeaderValue::from_static(
        "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'",
    );
    let headers = [(header::CONTENT_SECURITY_POLICY, only_own)];
    (headers, Html(include_str!("docs.html"))).into_response()
}
