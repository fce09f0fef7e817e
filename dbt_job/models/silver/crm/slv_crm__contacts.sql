{{ config(schema='silver_pii', materialized='incremental', incremental_strategy='merge', unique_key=['account_id', 'contact_id'],
    cluster_by=['contact_id'], on_schema_change='fail', post_hook="{{ applied() }}") }}
{%- set slices = slices_to_read('crm.contacts') -%}
{%- set columns = {
    'email': 'lower(email)', 'full_name': 'full_name', 'phone': 'phone', 'country': 'country', 'city': 'city',
    'lifecycle_stage': 'lower(lifecycle_stage)', 'email_opt_in': 'email_opt_in',
    'created_at': 'created_at', 'updated_at': 'updated_at'} %}
{{ current_rows('crm.contacts', versions('crm.contacts', ['contact_id'], columns, slices), ['contact_id'], columns | list, slices) }}
