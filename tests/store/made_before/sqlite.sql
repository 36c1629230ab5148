-- Made by patchctl at commit b9857c6: see __init__.py.
PRAGMA foreign_keys=OFF;
BEGIN TRANSACTION;
CREATE TABLE meta (
	"key" TEXT NOT NULL, 
	value TEXT NOT NULL, 
	PRIMARY KEY ("key")
);
INSERT INTO meta VALUES('store_id','c3d3ffe9-90cf-4f33-8e5b-e207a9710b9d');
INSERT INTO meta VALUES('epoch','1');
INSERT INTO meta VALUES('schema','2');
CREATE TABLE audit (
	number BIGINT NOT NULL, 
	rollout TEXT NOT NULL, 
	seq BIGINT NOT NULL, 
	host TEXT NOT NULL, 
	kind TEXT NOT NULL, 
	record TEXT NOT NULL, 
	hash TEXT NOT NULL, 
	PRIMARY KEY (number), 
	UNIQUE (rollout, seq)
);
INSERT INTO audit VALUES(1,'',1,'','plan-saved','{"actor":"ops@ctl","at":1234.5,"data":{"digest":"7b6ace66690d5d68b575c5ba2f2d7df5be75d64800644b7ecd643b6bd7e2e934","hosts":2,"policy":"monthly","rollout":"one"},"host":"","kind":"plan-saved","number":1,"prev":"aaf1fc285ad161eb185ea1ee8e3385284c6ecaa09e233053b6051636c7118e48","reason":"","rollout":"","seq":1,"version":1}','fb27e74b2d9e1d5fa859e6a499cf92478553d79d5c444ad58645b435370c19a4');
INSERT INTO audit VALUES(2,'',2,'','plan-saved','{"actor":"ops@ctl","at":1234.5,"data":{"digest":"23d9cf08076ef7096d51bc270a4e8bf2b17ad9f37a50707957c9e141e1f3d507","hosts":5,"policy":"monthly","rollout":"two"},"host":"","kind":"plan-saved","number":2,"prev":"fb27e74b2d9e1d5fa859e6a499cf92478553d79d5c444ad58645b435370c19a4","reason":"","rollout":"","seq":2,"version":1}','4aaa7263f111b8512c96f126ea51c23aa6da563e77164b88110d780821c43a94');
INSERT INTO audit VALUES(3,'one',1,'wéb','job-ended','{"actor":"jörg@ctl","at":1.25,"data":{"a":[1,null,{"ü":"\u0000\u001b"}],"f":0.1},"host":"wéb","kind":"job-ended","number":3,"prev":"4aaa7263f111b8512c96f126ea51c23aa6da563e77164b88110d780821c43a94","reason":"…","rollout":"one","seq":1,"version":1}','a921029be173505e9cdbdf15a99380deacf7c942a778de3b90cd1cb57df8e0e1');
INSERT INTO audit VALUES(4,'one',2,'wéb','kind','{"actor":"jörg@ctl","at":2.5,"data":{"a":[1,null,{"ü":"\u0000\u001b"}],"f":0.1},"host":"wéb","kind":"kind","number":4,"prev":"a921029be173505e9cdbdf15a99380deacf7c942a778de3b90cd1cb57df8e0e1","reason":"…","rollout":"one","seq":2,"version":1}','08942a1db08c24d77efa4a3cf97d444a54cf7802e761a956a4712842b2b281f6');
INSERT INTO audit VALUES(5,'one',3,'wéb','job-ended','{"actor":"jörg@ctl","at":3.75,"data":{"a":[1,null,{"ü":"\u0000\u001b"}],"f":0.1},"host":"wéb","kind":"job-ended","number":5,"prev":"08942a1db08c24d77efa4a3cf97d444a54cf7802e761a956a4712842b2b281f6","reason":"…","rollout":"one","seq":3,"version":1}','4a10103642319f39ee539a93a456948692e19f42ec34864df3dbd908792caf72');
INSERT INTO audit VALUES(6,'one',4,'wéb','kind','{"actor":"jörg@ctl","at":5.0,"data":{"a":[1,null,{"ü":"\u0000\u001b"}],"f":0.1},"host":"wéb","kind":"kind","number":6,"prev":"4a10103642319f39ee539a93a456948692e19f42ec34864df3dbd908792caf72","reason":"…","rollout":"one","seq":4,"version":1}','5ae1c0743679f8573bdfc99f82e3d1bd119923bc9534f8098d88f4d5066b8d95');
INSERT INTO audit VALUES(7,'one',5,'wéb','job-ended','{"actor":"jörg@ctl","at":6.25,"data":{"a":[1,null,{"ü":"\u0000\u001b"}],"f":0.1},"host":"wéb","kind":"job-ended","number":7,"prev":"5ae1c0743679f8573bdfc99f82e3d1bd119923bc9534f8098d88f4d5066b8d95","reason":"…","rollout":"one","seq":5,"version":1}','8fe986864db63997056973d074be8ced50592ef5e6ca815cdcba2e793b38f00f');
INSERT INTO audit VALUES(8,'',8,'','trust','{"actor":"ops","at":1234.5,"data":{"n":9007199254740992},"host":"","kind":"trust","number":8,"prev":"8fe986864db63997056973d074be8ced50592ef5e6ca815cdcba2e793b38f00f","reason":"first","rollout":"","seq":8,"version":1}','034840c55a3b87971658b6f1c2ad18f99d615ba5c63a619eacd03bb3fc0fcea2');
CREATE TABLE chain (
	id INTEGER NOT NULL, 
	number BIGINT NOT NULL, 
	hash TEXT NOT NULL, 
	PRIMARY KEY (id)
);
INSERT INTO chain VALUES(1,8,'034840c55a3b87971658b6f1c2ad18f99d615ba5c63a619eacd03bb3fc0fcea2');
CREATE TABLE counters (
	name TEXT NOT NULL, 
	value BIGINT NOT NULL, 
	PRIMARY KEY (name)
);
INSERT INTO counters VALUES('token',1);
CREATE TABLE plans (
	id INTEGER NOT NULL, 
	rollout TEXT NOT NULL, 
	policy TEXT NOT NULL, 
	created_at FLOAT NOT NULL, 
	created_by TEXT NOT NULL, 
	hosts INTEGER NOT NULL, 
	digest TEXT NOT NULL, 
	document BLOB NOT NULL, 
	PRIMARY KEY (id), 
	UNIQUE (rollout)
);
INSERT INTO plans VALUES(1,'one','monthly',1000.5,'ops@ctl',2,'7b6ace66690d5d68b575c5ba2f2d7df5be75d64800644b7ecd643b6bd7e2e934',X'789ced96cd6edc2010c7df0529b76463a7d954da532bb54fd06314a1318cd76831b880f723ab7df7ce80bd9ba4b9a5871ea248110cf3c59f1f668f22786bfd98c44a7887e25a0cde1a75a069ef5deaec814c2a2024d412c8abaeaa6ab1bcd81a76f543fca6923d474b6dd61839e740b61efb0643eccc70b1f7644fa6c7672eba123fc7e007bcfddec7844103af3616d42637f6f8742d8271eb48c3a370d07304582eb7832db2f95174154dbb5a3c91f3ce38ed776417648b1e3662552daa6b01c310fc162c2f9cc8aff33191d79183f9bfcfade54c5cef55154a41bbb3905a1ffa925975e0d658ba1aa8595863d6025d8c1c0641759ca3d70ff7346d83efe5968430de91f9cba25ad4cb9b9a85f06fed5fb33d7670b77ce014cdc7fe28970f666d38ff0f6c0cb89b5fa8c660121f6f9c87ab1446a45d8ed6a216ab166ca4291d74cc9df196210483a14c02921e0ae32c67c09ed58de5c49c4fb208ceb9e884804278571a5b0c818c4f39a6f19e5537ad0cf87b34bc309b25ee075489e31df57436bfec286ecc7019c99888ca326fc1d831e01cdbd2896218e8605359ef106cea4ab339add1532233a7e8612f8924579c60070739ba64ec9cd3e662934eec683df095482c4ac5e427d0904066344a0ce9829344add95f864e33e2d2623b213f12c425e894c97e4168fd49e827a1ff15a1278629610baa7c513fccc3ea7d62dfa5f00dc6ff12ca689ea981256fdfe2f4f44cdd2c34b20781598ee2cc6f0e5b3b48f96cff827274c61104b63c43249c35bd29aa29ef08f4802e3fc0757545ee44a20f4c709563892cbad58de5cccbabf31dd7f3943f11925f56eafabecacf5ec044d529c51d157b55a2a6ae9d3c63283ae24d64004c7bc81f1c32e4cb510030b12b334a1455873df0130f4975f4fadfd25d7337acd36d7df92510fd18d42483715b74c987d93a9195f73f6ba33d4e0fb7c37d927a7c0fcb0db1385716674a8fd4550311ad71c5f1f407337eeb67');
INSERT INTO plans VALUES(2,'two','monthly',1000.5,'ops@ctl',5,'23d9cf08076ef7096d51bc270a4e8bf2b17ad9f37a50707957c9e141e1f3d507',X'789ced974b6fdb300cc7bf8b80dedad47975404e1bb07d821d8bc2a06d3a16a28727c97934c8771f29d949dae5d61d72300218264dfe45513f05e05138ab94ed825889b0b3e251b456c9f240a6b62634ea40aed22104ac72a0a869966593e5c55770a86dfdf732a873765ec9357ad66cc9a75117e87c23db8b5f933f488defd62099bf3a675b7cfea17d4057017f2d14949b58d8ebdba370d2ac3dbd1e8501cd19a078b91d6c91ddafa2c9c86ca6fc98f163ce8f8578a3dc9d3495dd5198209fb7b011ab6c923d0a685b67b7a0f8c389e21aeb03451d598b9f36561a8579f90f8b92046d5641a8add349b96cc0ac3115d952edb0c6d81a34de731ab8b2610d5dbd2cc8ac9dd5f996fa22ad21f77c924da6cb27de40b09ffddfa2df37305bbeb044f1b51f695927d792f57f6221c13cfdc6b27332f069fbe175155c87b4cb4e29acc4aa06e5c9a473f7b132de323827d125c321f5a3443fb4d3a1e6eefa7480c6863c359cb5e8c08052785715d6e81c39df624e612d775dd6b9c33f9de40f833bc77d8b65e07c43359dddd715f98d6c2f6fb90f0469b26b90aa7338e4d674a2e85a3ad890be37082a34a9d8282bab5e480e121af63991645210ece0907726483568aab858df270e5416f886046e4ac61721400501f28846caa1be60dfa25aee2fafa662e27385757f033a8238259d22e857844e47424742ef8dd0d935a1b391d091d07b23747e4de87c247424f4de085d5c13ba18091d09bd2b424f0c53c01aca34377d9987d56d626f52f809e3ff09a597ef54c092b7afb09f37fb6a2615720481998ee2cc6f4c5b1b08f16cff81b233d210042a0d9bd43825b54c5d2bad21d01d9a38754fb3070a2712ad6382b3984b64d1ad2e142b2f1fce77bc1a4cfe8bc8799ca6aa17591c6e1d065a9d2466b4d88725a654b5c9cf188a8678131100591fe21f0e39e2e5480048df248b847cd9a0069eeb21940d8dfccf74d7cc13f7e9797a19ffbded5cd9b7419a2d9a60dde0edc98afb1f7a5359ecc77383fb9057dd2d2c37c4e2b0b238537aa4aa0af0a8a44981a7bf6afe8816');
CREATE TABLE evidence (
	sha256 TEXT NOT NULL, 
	size INTEGER NOT NULL, 
	body BLOB NOT NULL, 
	PRIMARY KEY (sha256)
);
INSERT INTO evidence VALUES('69e4c7949c9e32d1e218ea196c46630a134dca86f09efd3dc3602f2848c0690d',5,X'789c4b6478bba001000671026f');
INSERT INTO evidence VALUES('901eeef87babc7ee3dc7488cb6dcf33ec351b177c2e014b35818bbcf21af799b',178,X'789c158e4b0ec3200c05efe2350b7e7581db58c6a85129a9807413e5ee259ba7379bd19cc0fbe75b650aa4d90f5120bf2d4be3c5277cefe90c492be842636f9000148c17d907ae8f513c3fa38f1cc5d96cc49a206422b247749a8cf3992960d1514a76991d6a5b6cf08135469d6fd7a4798ce5dadf8b5643639a922115aa43ae4b41a1ad1e7d05b5a3d6eb0fc0483686');
INSERT INTO evidence VALUES('ac8e9c33277f528ee02bdc925616526d1182e5ba69290ccdab958fedb299f6a3',117,X'789c1d8a410e84201004bf62facc7ec0df10ec5512013333e8c1f077474f95aad48dd4cab1d388d9a43380675e5893fb3d02fe31ef5d5ef17171c2d2f1b35cd8ba2160cbd53c7e0828548deb7bd536c5aa17c5ab5ab4ae1e29d204633c5a912847');
INSERT INTO evidence VALUES('fe770da5bf981351dad1a7480e7e573e1381ee10a0b5128c4197f2705ddc6b93',238,X'789c858eb10ec2300c44ffc573453b676341426264ab2ae4a686469804c50e1455fd77dcf2014cbe7b3e5bd7ce302651700015f428c42192b9de6c2ebcca6cf24579087e8d1df6c793010dba2dcfdbac40c822413f86c6701b8dd0f424af3418f9901840af05d96c4ce682d243c0b533482ad9afbf6a525f4fff4fd31ddc155968e9ac24a1a4f8ebef13f3767841abdaec9a0ade18ac18b8589897ee0badfd4b92');
CREATE TABLE snapshots (
	id INTEGER NOT NULL, 
	host TEXT NOT NULL, 
	taken_at FLOAT NOT NULL, 
	reached BOOLEAN NOT NULL, 
	manifest TEXT NOT NULL, 
	volatile BLOB NOT NULL, 
	kind TEXT DEFAULT 'scan' NOT NULL, 
	PRIMARY KEY (id)
);
INSERT INTO snapshots VALUES(1,'wéb',10.499999999999999999,1,'901eeef87babc7ee3dc7488cb6dcf33ec351b177c2e014b35818bbcf21af799b',X'789c158cc10a03210c44ff256729bbc7f5678ad5146425114dbc2cfe7ba797f0328f998778d5c29299e243eb7fd4adbb51a48b02f5a11f2898402353146f0dc469aa20463a2d994fb0def86cb8e4645c287e539b1c68694b561b46e0786fb4d5a5bc6dd48eda8905ce2a057cbc8efd0372652fe6','scan');
INSERT INTO snapshots VALUES(2,'db',11.25,0,'ac8e9c33277f528ee02bdc925616526d1182e5ba69290ccdab958fedb299f6a3',X'789cab564a2dcb4c49cd4b4e55b2aaaed5512aca2fcd4b892f29ca2c2856b232d4512a4e4dcecf4b01b20df40c6a0172510f6d','scan');
INSERT INTO snapshots VALUES(3,'wéb',12.5,1,'901eeef87babc7ee3dc7488cb6dcf33ec351b177c2e014b35818bbcf21af799b',X'789c158cc10a03210c44ff256729bbc7f5678ad5146425114dbc2cfe7ba797f0328f998778d5c29299e243eb7fd4adbb51a48b02f5a11f2898402353146f0dc469aa20463a2d994fb0def86cb8e4645c287e539b1c68694b561b46e0786fb4d5a5bc6dd48eda8905ce2a057cbc8efd0372652fe6','assess');
CREATE TABLE snapshot_evidence (
	manifest TEXT NOT NULL, 
	sha256 TEXT NOT NULL, 
	PRIMARY KEY (manifest, sha256)
);
INSERT INTO snapshot_evidence VALUES('901eeef87babc7ee3dc7488cb6dcf33ec351b177c2e014b35818bbcf21af799b','69e4c7949c9e32d1e218ea196c46630a134dca86f09efd3dc3602f2848c0690d');
INSERT INTO snapshot_evidence VALUES('901eeef87babc7ee3dc7488cb6dcf33ec351b177c2e014b35818bbcf21af799b','901eeef87babc7ee3dc7488cb6dcf33ec351b177c2e014b35818bbcf21af799b');
INSERT INTO snapshot_evidence VALUES('ac8e9c33277f528ee02bdc925616526d1182e5ba69290ccdab958fedb299f6a3','ac8e9c33277f528ee02bdc925616526d1182e5ba69290ccdab958fedb299f6a3');
CREATE TABLE assessment_runs (
	run TEXT NOT NULL, 
	at FLOAT NOT NULL, 
	actor TEXT NOT NULL, 
	origin TEXT NOT NULL, 
	baselines TEXT NOT NULL, 
	PRIMARY KEY (run)
);
INSERT INTO assessment_runs VALUES('run-1',12.5,'me','begun','[{"name":"b","digest":"d","kind":"native","reference":"b.yaml","title":""}]');
CREATE TABLE assessments (
	run TEXT NOT NULL, 
	host TEXT NOT NULL, 
	baseline TEXT NOT NULL, 
	at FLOAT NOT NULL, 
	digest TEXT NOT NULL, 
	status TEXT NOT NULL, 
	taken_at FLOAT, 
	snapshot BIGINT, 
	counts TEXT NOT NULL, 
	score FLOAT, 
	findings TEXT NOT NULL, 
	PRIMARY KEY (run, host, baseline)
);
INSERT INTO assessments VALUES('run-1','wéb','b',12.5,'d','ok',12.5,3,'{"FAIL": 1}',33.333333333333335702,'fe770da5bf981351dad1a7480e7e573e1381ee10a0b5128c4197f2705ddc6b93');
INSERT INTO assessments VALUES('run-1','db','b',12.5,'d','unreachable',NULL,NULL,'{}',NULL,'');
CREATE TABLE snapshot_tags (
	tag TEXT NOT NULL, 
	host TEXT NOT NULL, 
	snapshot BIGINT NOT NULL, 
	at FLOAT NOT NULL, 
	actor TEXT NOT NULL, 
	reason TEXT NOT NULL, 
	PRIMARY KEY (tag, host)
);
INSERT INTO snapshot_tags VALUES('golden','wéb',3,13.0,'me','why');
CREATE TABLE update_seen (
	package TEXT NOT NULL, 
	candidate TEXT NOT NULL, 
	first_at FLOAT NOT NULL, 
	host TEXT NOT NULL, 
	PRIMARY KEY (package, candidate)
);
INSERT INTO update_seen VALUES('openssl','2',500.12499999999999998,'wéb');
CREATE TABLE leases (
	name TEXT NOT NULL, 
	holder TEXT NOT NULL, 
	PRIMARY KEY (name)
);
CREATE INDEX audit_host ON audit (host, number);
CREATE INDEX audit_kind ON audit (kind, number);
CREATE INDEX snapshots_host ON snapshots (host, taken_at);
CREATE INDEX assessments_host ON assessments (host, baseline, at);
COMMIT;
