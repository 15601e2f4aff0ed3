//! tornet
fn main() {
    let net = vigie_tests::tornet::TorNet::start(std::path::Path::new("target/tmp/tn"), vigie_tests::tornet::Options{services: vec![vigie_tests::tornet::HiddenService{name:"a".into(),virtual_port:80,local_port:9}], client_socks:true, dns:true});
    println!("{net:#?}");
    if let Ok(n)=net { println!("{}", n.arti_toml()); }
}
