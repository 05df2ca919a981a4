//! A certificate authority of a test's own, and TLS before servers that know none.

use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::Arc;

use rcgen::{
    BasicConstraints, Certificate, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose,
};
use rustls::pki_types::PrivateKeyDer;
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::io::{AsyncRead, AsyncWrite, copy_bidirectional};
use tokio_rustls::TlsAcceptor;

/// The authority.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

/// Who is let in.
pub enum Callers {
    /// Everybody.
    Anybody,
    /// Holders of the authority's certificates.
    Ours,
}

/// Where connections are passed on to.
#[derive(Clone)]
pub enum Inside {
    /// A Unix socket.
    Unix(PathBuf),
    /// An address, `HOST:PORT`.
    Tcp(String),
}

impl Authority {
    pub fn new() -> Authority {
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.distinguished_name.push(DnType::CommonName, "test authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let key = KeyPair::generate().expect("a key");
        Authority(CertifiedIssuer::self_signed(params, key).expect("signed"))
    }

    /// Its certificate.
    pub fn pem(&self) -> String {
        self.0.pem()
    }

    /// A certificate for a name or an address, and its key.
    pub fn issue(&self, name: &str, usage: ExtendedKeyUsagePurpose) -> (Certificate, KeyPair) {
        let mut params = CertificateParams::new(vec![name.to_string()]).expect("a name");
        // Whose subject is its issuer's counts as signed by itself.
        params.distinguished_name.push(DnType::CommonName, name);
        params.extended_key_usages = vec![usage];
        let key = KeyPair::generate().expect("a key");
        (params.signed_by(&key, &self.0).expect("signed"), key)
    }

    /// Takes TLS connections under this name on loopback, and passes on what is in them; gives the port.
    pub fn guard(&self, name: &str, callers: Callers, inside: Inside) -> u16 {
        let (own, key) = self.issue(name, ExtendedKeyUsagePurpose::ServerAuth);
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .expect("the provider has them");
        let config = match callers {
            Callers::Anybody => config.with_no_client_auth(),
            Callers::Ours => {
                let mut roots = RootCertStore::empty();
                roots.add(self.0.der().clone()).expect("a certificate");
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
                config.with_client_cert_verifier(verifier.build().expect("roots"))
            }
        };
        let config = config
            .with_single_cert(vec![own.der().clone()], PrivateKeyDer::Pkcs8(key.serialize_der().into()))
            .expect("a pair");
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("bound").port();
        std::thread::spawn(move || serve(listener, TlsAcceptor::from(Arc::new(config)), inside));
        port
    }
}

#[tokio::main(flavor = "current_thread")]
async fn serve(listener: TcpListener, acceptor: TlsAcceptor, inside: Inside) {
    listener.set_nonblocking(true).expect("a socket");
    let listener = tokio::net::TcpListener::from_std(listener).expect("a socket");
    while let Ok((stream, _)) = listener.accept().await {
        let (acceptor, inside) = (acceptor.clone(), inside.clone());
        tokio::spawn(async move {
            // Who is refused has been told by TLS.
            let Ok(outside) = acceptor.accept(stream).await else { return };
            match inside {
                Inside::Unix(socket) => join(outside, tokio::net::UnixStream::connect(socket).await).await,
                Inside::Tcp(address) => join(outside, tokio::net::TcpStream::connect(address).await).await,
            }
        });
    }
}

async fn join<S: AsyncRead + AsyncWrite + Unpin>(
    mut outside: impl AsyncRead + AsyncWrite + Unpin,
    inside: std::io::Result<S>,
) {
    let Ok(mut inside) = inside else { return };
    let _ = copy_bidirectional(&mut outside, &mut inside).await;
}
