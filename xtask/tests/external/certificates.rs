//! A certificate authority for the tests.

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod,
    PKCS_ECDSA_P256_SHA256, PublicKeyData, SerialNumber, SignatureAlgorithm, SigningKey, date_time_ymd,
};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};

pub(crate) struct Authority {
    /// The authority's certificate, in PEM.
    pub(crate) certificate: String,
    issuer: Issuer<'static, Key>,
}

/// A certificate and its key, in PEM.
pub(crate) struct Identity {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let key = Key::generate();
        let mut parameters = named(name, &[]);
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        parameters.key_identifier_method = KeyIdMethod::PreSpecified(name.into());
        let certificate = parameters.self_signed(&key).unwrap().pem();
        Self { certificate, issuer: Issuer::new(parameters, key) }
    }

    /// A server's certificate for these names.
    pub(crate) fn server(&self, hosts: &[&str]) -> Identity {
        self.sign(named("a server", hosts))
    }

    /// A server's certificate that was valid from 2020 to the end of 2021.
    pub(crate) fn expired_server(&self, hosts: &[&str]) -> Identity {
        let mut parameters = named("a server", hosts);
        parameters.not_before = date_time_ymd(2020, 1, 1);
        parameters.not_after = date_time_ymd(2022, 1, 1);
        self.sign(parameters)
    }

    /// The certificate of a client, with the Postgres user's name.
    pub(crate) fn client(&self, user: &str) -> Identity {
        let mut parameters = named(user, &[]);
        parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.sign(parameters)
    }

    fn sign(&self, parameters: CertificateParams) -> Identity {
        let key = Key::generate();
        let certificate = parameters.signed_by(&key, &self.issuer).unwrap().pem();
        Identity { certificate, key: key.pem() }
    }
}

fn named(name: &str, hosts: &[&str]) -> CertificateParams {
    let hosts: Vec<_> = hosts.iter().map(|&host| host.to_owned()).collect();
    let mut parameters = CertificateParams::new(hosts).unwrap();
    parameters.distinguished_name.push(DnType::CommonName, name);
    parameters.serial_number = Some(SerialNumber::from(fastrand::u64(..)));
    parameters
}

/// A key made with ring directly. rcgen could use ring itself, but that feature adds a dozen packages to the lock
/// file.
struct Key {
    pair: EcdsaKeyPair,
    /// The key in PKCS #8.
    der: Vec<u8>,
}

impl Key {
    fn generate() -> Self {
        let (algorithm, random) = (&ECDSA_P256_SHA256_ASN1_SIGNING, SystemRandom::new());
        let der = EcdsaKeyPair::generate_pkcs8(algorithm, &random).unwrap().as_ref().to_vec();
        Self { pair: EcdsaKeyPair::from_pkcs8(algorithm, &der, &random).unwrap(), der }
    }

    fn pem(&self) -> String {
        pem::encode(&pem::Pem::new("PRIVATE KEY", self.der.as_slice()))
    }
}

impl PublicKeyData for Key {
    fn der_bytes(&self) -> &[u8] {
        self.pair.public_key().as_ref()
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &PKCS_ECDSA_P256_SHA256
    }
}

impl SigningKey for Key {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        let signature = self.pair.sign(&SystemRandom::new(), message);
        Ok(signature.map_err(|_| rcgen::Error::RingUnspecified)?.as_ref().to_vec())
    }
}
