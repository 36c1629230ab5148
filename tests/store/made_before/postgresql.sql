-- Made by patchctl at commit b9857c6: see __init__.py.
--
-- PostgreSQL database dump
--


-- Dumped from database version 15.18 (Debian 15.18-0+deb12u1)
-- Dumped by pg_dump version 15.18 (Debian 15.18-0+deb12u1)

SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;

SET default_tablespace = '';

SET default_table_access_method = heap;

--
-- Name: assessment_runs; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.assessment_runs (
    run text NOT NULL,
    at double precision NOT NULL,
    actor text NOT NULL,
    origin text NOT NULL,
    baselines text NOT NULL
);


--
-- Name: assessments; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.assessments (
    run text NOT NULL,
    host text NOT NULL,
    baseline text NOT NULL,
    at double precision NOT NULL,
    digest text NOT NULL,
    status text NOT NULL,
    taken_at double precision,
    snapshot bigint,
    counts text NOT NULL,
    score double precision,
    findings text NOT NULL
);


--
-- Name: audit; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.audit (
    number bigint NOT NULL,
    rollout text NOT NULL,
    seq bigint NOT NULL,
    host text NOT NULL,
    kind text NOT NULL,
    record text NOT NULL,
    hash text NOT NULL
);


--
-- Name: chain; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.chain (
    id integer NOT NULL,
    number bigint NOT NULL,
    hash text NOT NULL
);


--
-- Name: counters; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.counters (
    name text NOT NULL,
    value bigint NOT NULL
);


--
-- Name: evidence; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.evidence (
    sha256 text NOT NULL,
    size integer NOT NULL,
    body bytea NOT NULL
);


--
-- Name: leases; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.leases (
    name text NOT NULL,
    holder text NOT NULL
);


--
-- Name: meta; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.meta (
    key text NOT NULL,
    value text NOT NULL
);


--
-- Name: plans; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.plans (
    id bigint NOT NULL,
    rollout text NOT NULL,
    policy text NOT NULL,
    created_at double precision NOT NULL,
    created_by text NOT NULL,
    hosts integer NOT NULL,
    digest text NOT NULL,
    document bytea NOT NULL
);


--
-- Name: plans_id_seq; Type: SEQUENCE; Schema: public; Owner: -
--

CREATE SEQUENCE public.plans_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;


--
-- Name: plans_id_seq; Type: SEQUENCE OWNED BY; Schema: public; Owner: -
--

ALTER SEQUENCE public.plans_id_seq OWNED BY public.plans.id;


--
-- Name: snapshot_evidence; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.snapshot_evidence (
    manifest text NOT NULL,
    sha256 text NOT NULL
);


--
-- Name: snapshot_tags; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.snapshot_tags (
    tag text NOT NULL,
    host text NOT NULL,
    snapshot bigint NOT NULL,
    at double precision NOT NULL,
    actor text NOT NULL,
    reason text NOT NULL
);


--
-- Name: snapshots; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.snapshots (
    id bigint NOT NULL,
    host text NOT NULL,
    taken_at double precision NOT NULL,
    reached boolean NOT NULL,
    manifest text NOT NULL,
    volatile bytea NOT NULL,
    kind text DEFAULT 'scan'::text NOT NULL
);


--
-- Name: snapshots_id_seq; Type: SEQUENCE; Schema: public; Owner: -
--

CREATE SEQUENCE public.snapshots_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;


--
-- Name: snapshots_id_seq; Type: SEQUENCE OWNED BY; Schema: public; Owner: -
--

ALTER SEQUENCE public.snapshots_id_seq OWNED BY public.snapshots.id;


--
-- Name: update_seen; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.update_seen (
    package text NOT NULL,
    candidate text NOT NULL,
    first_at double precision NOT NULL,
    host text NOT NULL
);


--
-- Name: plans id; Type: DEFAULT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.plans ALTER COLUMN id SET DEFAULT nextval('public.plans_id_seq'::regclass);


--
-- Name: snapshots id; Type: DEFAULT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.snapshots ALTER COLUMN id SET DEFAULT nextval('public.snapshots_id_seq'::regclass);


--
-- Data for Name: assessment_runs; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.assessment_runs VALUES ('run-1', 12.5, 'me', 'begun', '[{"name":"b","digest":"d","kind":"native","reference":"b.yaml","title":""}]');


--
-- Data for Name: assessments; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.assessments VALUES ('run-1', 'wéb', 'b', 12.5, 'd', 'ok', 12.5, 3, '{"FAIL": 1}', 33.333333333333336, 'fe770da5bf981351dad1a7480e7e573e1381ee10a0b5128c4197f2705ddc6b93');
INSERT INTO public.assessments VALUES ('run-1', 'db', 'b', 12.5, 'd', 'unreachable', NULL, NULL, '{}', NULL, '');


--
-- Data for Name: audit; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.audit VALUES (1, '', 1, '', 'plan-saved', '{"actor":"ops@ctl","at":1234.5,"data":{"digest":"7b6ace66690d5d68b575c5ba2f2d7df5be75d64800644b7ecd643b6bd7e2e934","hosts":2,"policy":"monthly","rollout":"one"},"host":"","kind":"plan-saved","number":1,"prev":"ad07b1a6ab1b8dee0c5de5235a091122e7c3ae8d6dd4012b6dab83488096ab3a","reason":"","rollout":"","seq":1,"version":1}', '2208bda93672e631739fa266ecc137e467a44e045a7e26c5f4082631c920ddac');
INSERT INTO public.audit VALUES (2, '', 2, '', 'plan-saved', '{"actor":"ops@ctl","at":1234.5,"data":{"digest":"23d9cf08076ef7096d51bc270a4e8bf2b17ad9f37a50707957c9e141e1f3d507","hosts":5,"policy":"monthly","rollout":"two"},"host":"","kind":"plan-saved","number":2,"prev":"2208bda93672e631739fa266ecc137e467a44e045a7e26c5f4082631c920ddac","reason":"","rollout":"","seq":2,"version":1}', 'e7f39c597bd05a7789ecaacd744fee8a34d047093ed14ccb02e10734ec1869db');
INSERT INTO public.audit VALUES (3, 'one', 1, 'wéb', 'job-ended', '{"actor":"jörg@ctl","at":1.25,"data":{"a":[1,null,{"ü":"\u0000\u001b"}],"f":0.1},"host":"wéb","kind":"job-ended","number":3,"prev":"e7f39c597bd05a7789ecaacd744fee8a34d047093ed14ccb02e10734ec1869db","reason":"…","rollout":"one","seq":1,"version":1}', '4074b49dc54f1b3de41a8eae8e0c89fb6209af780bf9b0910b17ada4a39e4aac');
INSERT INTO public.audit VALUES (4, 'one', 2, 'wéb', 'kind', '{"actor":"jörg@ctl","at":2.5,"data":{"a":[1,null,{"ü":"\u0000\u001b"}],"f":0.1},"host":"wéb","kind":"kind","number":4,"prev":"4074b49dc54f1b3de41a8eae8e0c89fb6209af780bf9b0910b17ada4a39e4aac","reason":"…","rollout":"one","seq":2,"version":1}', '92a64b7105928be45ec8df974d6e729857e08886037652586aa703ac71291ae3');
INSERT INTO public.audit VALUES (5, 'one', 3, 'wéb', 'job-ended', '{"actor":"jörg@ctl","at":3.75,"data":{"a":[1,null,{"ü":"\u0000\u001b"}],"f":0.1},"host":"wéb","kind":"job-ended","number":5,"prev":"92a64b7105928be45ec8df974d6e729857e08886037652586aa703ac71291ae3","reason":"…","rollout":"one","seq":3,"version":1}', '01bd4a1580cb0624de978cb5aa298fde4de7b8925f4375ab59385dda8dbad3a0');
INSERT INTO public.audit VALUES (6, 'one', 4, 'wéb', 'kind', '{"actor":"jörg@ctl","at":5.0,"data":{"a":[1,null,{"ü":"\u0000\u001b"}],"f":0.1},"host":"wéb","kind":"kind","number":6,"prev":"01bd4a1580cb0624de978cb5aa298fde4de7b8925f4375ab59385dda8dbad3a0","reason":"…","rollout":"one","seq":4,"version":1}', '63c31ad729ce4dab67cf39e91c2c75cba810b4b81c5f04da22ffbafd7c497e0d');
INSERT INTO public.audit VALUES (7, 'one', 5, 'wéb', 'job-ended', '{"actor":"jörg@ctl","at":6.25,"data":{"a":[1,null,{"ü":"\u0000\u001b"}],"f":0.1},"host":"wéb","kind":"job-ended","number":7,"prev":"63c31ad729ce4dab67cf39e91c2c75cba810b4b81c5f04da22ffbafd7c497e0d","reason":"…","rollout":"one","seq":5,"version":1}', '102105946025699c35da89bf9f271f8a43a340381b4770528c23ceab5d1dff0e');
INSERT INTO public.audit VALUES (8, '', 8, '', 'trust', '{"actor":"ops","at":1234.5,"data":{"n":9007199254740992},"host":"","kind":"trust","number":8,"prev":"102105946025699c35da89bf9f271f8a43a340381b4770528c23ceab5d1dff0e","reason":"first","rollout":"","seq":8,"version":1}', '49000451b6716faf0215a0a0eb8c4b1d31d1214000c535647974409ec648f921');


--
-- Data for Name: chain; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.chain VALUES (1, 8, '49000451b6716faf0215a0a0eb8c4b1d31d1214000c535647974409ec648f921');


--
-- Data for Name: counters; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.counters VALUES ('token', 1);


--
-- Data for Name: evidence; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.evidence VALUES ('69e4c7949c9e32d1e218ea196c46630a134dca86f09efd3dc3602f2848c0690d', 5, '\x789c4b6478bba001000671026f');
INSERT INTO public.evidence VALUES ('901eeef87babc7ee3dc7488cb6dcf33ec351b177c2e014b35818bbcf21af799b', 178, '\x789c158e4b0ec3200c05efe2350b7e7581db58c6a85129a9807413e5ee259ba7379bd19cc0fbe75b650aa4d90f5120bf2d4be3c5277cefe90c492be842636f9000148c17d907ae8f513c3fa38f1cc5d96cc49a206422b247749a8cf3992960d1514a76991d6a5b6cf08135469d6fd7a4798ce5dadf8b5643639a922115aa43ae4b41a1ad1e7d05b5a3d6eb0fc0483686');
INSERT INTO public.evidence VALUES ('ac8e9c33277f528ee02bdc925616526d1182e5ba69290ccdab958fedb299f6a3', 117, '\x789c1d8a410e84201004bf62facc7ec0df10ec5512013333e8c1f077474f95aad48dd4cab1d388d9a43380675e5893fb3d02fe31ef5d5ef17171c2d2f1b35cd8ba2160cbd53c7e0828548deb7bd536c5aa17c5ab5ab4ae1e29d204633c5a912847');
INSERT INTO public.evidence VALUES ('fe770da5bf981351dad1a7480e7e573e1381ee10a0b5128c4197f2705ddc6b93', 238, '\x789c858eb10ec2300c44ffc573453b676341426264ab2ae4a686469804c50e1455fd77dcf2014cbe7b3e5bd7ce302651700015f428c42192b9de6c2ebcca6cf24579087e8d1df6c793010dba2dcfdbac40c822413f86c6701b8dd0f424af3418f9901840af05d96c4ce682d243c0b533482ad9afbf6a525f4fff4fd31ddc155968e9ac24a1a4f8ebef13f3767841abdaec9a0ade18ac18b8589897ee0badfd4b92');


--
-- Data for Name: leases; Type: TABLE DATA; Schema: public; Owner: -
--



--
-- Data for Name: meta; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.meta VALUES ('store_id', '68ed8175-9e0e-4223-a38f-49dedd24ea75');
INSERT INTO public.meta VALUES ('epoch', '1');
INSERT INTO public.meta VALUES ('schema', '2');


--
-- Data for Name: plans; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.plans VALUES (1, 'one', 'monthly', 1000.5, 'ops@ctl', 2, '7b6ace66690d5d68b575c5ba2f2d7df5be75d64800644b7ecd643b6bd7e2e934', '\x789ced96cd6edc2010c7df0529b76463a7d954da532bb54fd06314a1318cd76831b880f723ab7df7ce80bd9ba4b9a5871ea248110cf3c59f1f668f22786bfd98c44a7887e25a0cde1a75a069ef5deaec814c2a2024d412c8abaeaa6ab1bcd81a76f543fca6923d474b6dd61839e740b61efb0643eccc70b1f7644fa6c7672eba123fc7e007bcfddec7844103af3616d42637f6f8742d8271eb48c3a370d07304582eb7832db2f95174154dbb5a3c91f3ce38ed776417648b1e3662552daa6b01c310fc162c2f9cc8aff33191d79183f9bfcfade54c5cef55154a41bbb3905a1ffa925975e0d658ba1aa8595863d6025d8c1c0641759ca3d70ff7346d83efe5968430de91f9cba25ad4cb9b9a85f06fed5fb33d7670b77ce014cdc7fe28970f666d38ff0f6c0cb89b5fa8c660121f6f9c87ab1446a45d8ed6a216ab166ca4291d74cc9df196210483a14c02921e0ae32c67c09ed58de5c49c4fb208ceb9e884804278571a5b0c818c4f39a6f19e5537ad0cf87b34bc309b25ee075489e31df57436bfec286ecc7019c99888ca326fc1d831e01cdbd2896218e8605359ef106cea4ab339add1532233a7e8612f8924579c60070739ba64ec9cd3e662934eec683df095482c4ac5e427d0904066344a0ce9829344add95f864e33e2d2623b213f12c425e894c97e4168fd49e827a1ff15a1278629610baa7c513fccc3ea7d62dfa5f00dc6ff12ca689ea981256fdfe2f4f44cdd2c34b20781598ee2cc6f0e5b3b48f96cff827274c61104b63c43249c35bd29aa29ef08f4802e3fc0757545ee44a20f4c709563892cbad58de5cccbabf31dd7f3943f11925f56eafabecacf5ec044d529c51d157b55a2a6ae9d3c63283ae24d64004c7bc81f1c32e4cb510030b12b334a1455873df0130f4975f4fadfd25d7337acd36d7df92510fd18d42483715b74c987d93a9195f73f6ba33d4e0fb7c37d927a7c0fcb0db1385716674a8fd4550311ad71c5f1f407337eeb67');
INSERT INTO public.plans VALUES (2, 'two', 'monthly', 1000.5, 'ops@ctl', 5, '23d9cf08076ef7096d51bc270a4e8bf2b17ad9f37a50707957c9e141e1f3d507', '\x789ced974b6fdb300cc7bf8b80dedad47975404e1bb07d821d8bc2a06d3a16a28727c97934c8771f29d949dae5d61d72300218264dfe45513f05e05138ab94ed825889b0b3e251b456c9f240a6b62634ea40aed22104ac72a0a869966593e5c55770a86dfdf732a873765ec9357ad66cc9a75117e87c23db8b5f933f488defd62099bf3a675b7cfea17d4057017f2d14949b58d8ebdba370d2ac3dbd1e8501cd19a078b91d6c91ddafa2c9c86ca6fc98f163ce8f8578a3dc9d3495dd5198209fb7b011ab6c923d0a685b67b7a0f8c389e21aeb03451d598b9f36561a8579f90f8b92046d5641a8add349b96cc0ac3115d952edb0c6d81a34de731ab8b2610d5dbd2cc8ac9dd5f996fa22ad21f77c924da6cb27de40b09ffddfa2df37305bbeb044f1b51f695927d792f57f6221c13cfdc6b27332f069fbe175155c87b4cb4e29acc4aa06e5c9a473f7b132de323827d125c321f5a3443fb4d3a1e6eefa7480c6863c359cb5e8c08052785715d6e81c39df624e612d775dd6b9c33f9de40f833bc77d8b65e07c43359dddd715f98d6c2f6fb90f0469b26b90aa7338e4d674a2e85a3ad890be37082a34a9d8282bab5e480e121af63991645210ece0907726483568aab858df270e5416f886046e4ac61721400501f28846caa1be60dfa25aee2fafa662e27385757f033a8238259d22e857844e47424742ef8dd0d935a1b391d091d07b23747e4de87c247424f4de085d5c13ba18091d09bd2b424f0c53c01aca34377d9987d56d626f52f809e3ff09a597ef54c092b7afb09f37fb6a2615720481998ee2cc6f4c5b1b08f16cff81b233d210042a0d9bd43825b54c5d2bad21d01d9a38754fb3070a2712ad6382b3984b64d1ad2e142b2f1fce77bc1a4cfe8bc8799ca6aa17591c6e1d065a9d2466b4d88725a654b5c9cf188a8678131100591fe21f0e39e2e5480048df248b847cd9a0069eeb21940d8dfccf74d7cc13f7e9797a19ffbded5cd9b7419a2d9a60dde0edc98afb1f7a5359ecc77383fb9057dd2d2c37c4e2b0b238537aa4aa0af0a8a44981a7bf6afe8816');


--
-- Data for Name: snapshot_evidence; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.snapshot_evidence VALUES ('901eeef87babc7ee3dc7488cb6dcf33ec351b177c2e014b35818bbcf21af799b', '69e4c7949c9e32d1e218ea196c46630a134dca86f09efd3dc3602f2848c0690d');
INSERT INTO public.snapshot_evidence VALUES ('901eeef87babc7ee3dc7488cb6dcf33ec351b177c2e014b35818bbcf21af799b', '901eeef87babc7ee3dc7488cb6dcf33ec351b177c2e014b35818bbcf21af799b');
INSERT INTO public.snapshot_evidence VALUES ('ac8e9c33277f528ee02bdc925616526d1182e5ba69290ccdab958fedb299f6a3', 'ac8e9c33277f528ee02bdc925616526d1182e5ba69290ccdab958fedb299f6a3');


--
-- Data for Name: snapshot_tags; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.snapshot_tags VALUES ('golden', 'wéb', 3, 13, 'me', 'why');


--
-- Data for Name: snapshots; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.snapshots VALUES (1, 'wéb', 10.5, true, '901eeef87babc7ee3dc7488cb6dcf33ec351b177c2e014b35818bbcf21af799b', '\x789c158cc10a03210c44ff256729bbc7f5678ad5146425114dbc2cfe7ba797f0328f998778d5c29299e243eb7fd4adbb51a48b02f5a11f2898402353146f0dc469aa20463a2d994fb0def86cb8e4645c287e539b1c68694b561b46e0786fb4d5a5bc6dd48eda8905ce2a057cbc8efd0372652fe6', 'scan');
INSERT INTO public.snapshots VALUES (2, 'db', 11.25, false, 'ac8e9c33277f528ee02bdc925616526d1182e5ba69290ccdab958fedb299f6a3', '\x789cab564a2dcb4c49cd4b4e55b2aaaed5512aca2fcd4b892f29ca2c2856b232d4512a4e4dcecf4b01b20df40c6a0172510f6d', 'scan');
INSERT INTO public.snapshots VALUES (3, 'wéb', 12.5, true, '901eeef87babc7ee3dc7488cb6dcf33ec351b177c2e014b35818bbcf21af799b', '\x789c158cc10a03210c44ff256729bbc7f5678ad5146425114dbc2cfe7ba797f0328f998778d5c29299e243eb7fd4adbb51a48b02f5a11f2898402353146f0dc469aa20463a2d994fb0def86cb8e4645c287e539b1c68694b561b46e0786fb4d5a5bc6dd48eda8905ce2a057cbc8efd0372652fe6', 'assess');


--
-- Data for Name: update_seen; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.update_seen VALUES ('openssl', '2', 500.125, 'wéb');


--
-- Name: plans_id_seq; Type: SEQUENCE SET; Schema: public; Owner: -
--

SELECT pg_catalog.setval('public.plans_id_seq', 2, true);


--
-- Name: snapshots_id_seq; Type: SEQUENCE SET; Schema: public; Owner: -
--

SELECT pg_catalog.setval('public.snapshots_id_seq', 3, true);


--
-- Name: assessment_runs assessment_runs_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.assessment_runs
    ADD CONSTRAINT assessment_runs_pkey PRIMARY KEY (run);


--
-- Name: assessments assessments_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.assessments
    ADD CONSTRAINT assessments_pkey PRIMARY KEY (run, host, baseline);


--
-- Name: audit audit_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.audit
    ADD CONSTRAINT audit_pkey PRIMARY KEY (number);


--
-- Name: audit audit_rollout_seq_key; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.audit
    ADD CONSTRAINT audit_rollout_seq_key UNIQUE (rollout, seq);


--
-- Name: chain chain_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.chain
    ADD CONSTRAINT chain_pkey PRIMARY KEY (id);


--
-- Name: counters counters_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.counters
    ADD CONSTRAINT counters_pkey PRIMARY KEY (name);


--
-- Name: evidence evidence_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.evidence
    ADD CONSTRAINT evidence_pkey PRIMARY KEY (sha256);


--
-- Name: leases leases_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.leases
    ADD CONSTRAINT leases_pkey PRIMARY KEY (name);


--
-- Name: meta meta_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.meta
    ADD CONSTRAINT meta_pkey PRIMARY KEY (key);


--
-- Name: plans plans_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.plans
    ADD CONSTRAINT plans_pkey PRIMARY KEY (id);


--
-- Name: plans plans_rollout_key; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.plans
    ADD CONSTRAINT plans_rollout_key UNIQUE (rollout);


--
-- Name: snapshot_evidence snapshot_evidence_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.snapshot_evidence
    ADD CONSTRAINT snapshot_evidence_pkey PRIMARY KEY (manifest, sha256);


--
-- Name: snapshot_tags snapshot_tags_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.snapshot_tags
    ADD CONSTRAINT snapshot_tags_pkey PRIMARY KEY (tag, host);


--
-- Name: snapshots snapshots_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.snapshots
    ADD CONSTRAINT snapshots_pkey PRIMARY KEY (id);


--
-- Name: update_seen update_seen_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.update_seen
    ADD CONSTRAINT update_seen_pkey PRIMARY KEY (package, candidate);


--
-- Name: assessments_host; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX assessments_host ON public.assessments USING btree (host, baseline, at);


--
-- Name: audit_host; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX audit_host ON public.audit USING btree (host, number);


--
-- Name: audit_kind; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX audit_kind ON public.audit USING btree (kind, number);


--
-- Name: snapshots_host; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX snapshots_host ON public.snapshots USING btree (host, taken_at);


--
-- PostgreSQL database dump complete
--


