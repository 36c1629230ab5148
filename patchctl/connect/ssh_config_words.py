"""The keywords of ssh_config(5) up to OpenSSH 10, by what this program does with them."""

from __future__ import annotations


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


SINGLE = _words("""
addressfamily bindaddress bindinterface canonicalizehostname hostkeyalias hostname identitiesonly identityagent
passwordauthentication port proxyjump pubkeyauthentication revokedhostkeys stricthostkeychecking user
""")
"""One value, used here (or, like canonicalizehostname, a reason to ask ssh itself)."""

LISTS = _words("certificatefile globalknownhostsfile identityfile userknownhostsfile")
"""Several values, used here."""

RAW = _words("match proxycommand localcommand remotecommand knownhostscommand")
"""The rest of the line as it stands."""

IGNORED = _words("""
addkeystoagent batchmode canonicaldomains canonicalizefallbacklocal canonicalizemaxdots canonicalizepermittedcnames
casignaturealgorithms challengeresponseauthentication channeltimeout checkhostip cipher ciphers clearallforwardings
compression compressionlevel connectionattempts connecttimeout controlmaster controlpath controlpersist dynamicforward
enableescapecommandline enablesshkeysign escapechar exitonforwardfailure fingerprinthash forkafterauthentication
forwardagent forwardx11 forwardx11timeout forwardx11trusted gatewayports gssapiauthentication
gssapidelegatecredentials gssapiclientidentity gssapikexalgorithms gssapikeyexchange gssapirenewalforcesrekey
gssapiserveridentity gssapitrustdns hashknownhosts hostbasedacceptedalgorithms hostbasedauthentication
hostbasedkeytypes hostkeyalgorithms ipqos kbdinteractiveauthentication kbdinteractivedevices kexalgorithms localforward
loglevel logverbose macs nohostauthenticationforlocalhost numberofpasswordprompts obscurekeystroketiming
permitlocalcommand permitremoteopen pkcs11provider preferredauthentications protocol proxyusefdpass
pubkeyacceptedalgorithms pubkeyacceptedkeytypes refuseconnection rekeylimit remoteforward requesttty requiredrsasize
rhostsrsaauthentication rsaauthentication securitykeyprovider sendenv serveralivecountmax
serveraliveinterval sessiontype setenv stdinnull streamlocalbindmask streamlocalbindunlink syslogfacility tag
tcpkeepalive tunnel tunneldevice updatehostkeys useprivilegedport usekeychain verifyhostkeydns versionaddendum
visualhostkey warnweakcrypto xauthlocation
""")
"""Known, and without meaning for how this program connects. StrictHostKeyChecking is always yes here."""
