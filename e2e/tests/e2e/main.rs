//! Gateway, IAM and clients together, over real sockets.

mod asyncapi;
mod auth;
mod reauth;
mod terms;
mod calls;
mod backends;
mod docs;
mod flow_sockets;
mod fuzz;
mod head;
mod http;
mod idle;
mod metrics;
mod limits;
mod openapi;
mod pings;
mod permissions;
mod python;
mod sdk;
mod seats;
mod streams;
mod tls;
mod trustgraph_cli;
mod websocket;
mod typescript;
mod workspaces;
